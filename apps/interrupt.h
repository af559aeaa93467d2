// Ctrl-C: the first SIGINT or SIGTERM asks, the second ends the program at once.
#pragma once

namespace etude::apps {

// Thrown where work stops because the user asked; main() turns it into exit code 130.
struct Interrupted {};

void install_interrupt_handlers();
// True once a signal has arrived. Safe to call from any thread.
bool interrupted();
// Throws Interrupted if interrupted().
void check_interrupted();

}  // namespace etude::apps
