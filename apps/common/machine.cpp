#include "machine.hpp"

#include <fstream>
#include <thread>

namespace common {

std::string compiler() { return EMBERGRAD_BUILD; }

std::string matrix_products() { return EMBERGRAD_GEMM; }

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "processor of unknown make";
}

int processor_count() { return static_cast<int>(std::thread::hardware_concurrency()); }

}  // namespace common
