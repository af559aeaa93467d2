// Runs one of the broken kernels: for tests of reports that end the program.
#include <cstdio>
#include <cstring>

#include "broken.h"

int main(int argc, char** argv) {
  for (const broken::Kernel& kernel : broken::kernels())
    if (argc == 2 && std::strcmp(argv[1], kernel.name) == 0) {
      std::printf("%s\n", cudaGetErrorName(kernel.run()));
      return 0;
    }
  std::fputs("usage: etude-simt-broken KERNEL\n", stderr);
  return 2;
}
