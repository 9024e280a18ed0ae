// A libcuda.so.1 that only says which CUDA it supports, and that there is no GPU.
#include <cstdlib>

extern "C" {
[[gnu::visibility("default")]] int cuDriverGetVersion(int* version);
[[gnu::visibility("default")]] int cuInit(unsigned flags);

int cuDriverGetVersion(int* version) {
  *version = std::atoi(std::getenv("FAKE_DRIVER_VERSION"));
  return 0;
}
int cuInit(unsigned /*flags*/) { return 100; }
}
