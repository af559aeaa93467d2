#include "apps/device_choice.h"

#include <cstdlib>

#include "apps/progress.h"
#include "engine/error.h"
#include "engine/linear_provider.h"

namespace etude::apps {

std::string default_linear_provider() {
  const char* name = std::getenv("ETUDE_LINEAR");
  return name && *name ? name : "own";
}

Device choose_device(const std::string& name, const std::string& linear_provider) {
  const Device device = parse_device(name);
  const LinearProvider provider = parse_linear_provider(
      linear_provider.empty() ? default_linear_provider() : linear_provider);
  use_linear_provider(provider, device);
  std::string text = "device: " + to_string(device);
  if (device.kind == DeviceKind::cuda) text += " (" + describe(device) + ")";
  if (provider != LinearProvider::own) text += ", linear layers by " + to_string(provider);
  note(text);
  return device;
}

std::string where_it_runs(Device device) {
  std::string text;
  if (device.kind == DeviceKind::cpu) {
    text = to_string(device) + " " + chosen_isa();
  } else {
    Device any = device;
    any.index = 0;  // own kernels give the same bits on every GPU
    text = to_string(any);
  }
  const LinearProvider provider = linear_provider(device);
  if (provider != LinearProvider::own) text += " " + to_string(provider);
  return text;
}

}  // namespace etude::apps
