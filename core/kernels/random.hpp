// Contracts: random numbers. Element i is a function of (seed, tick, i).
#pragma once

#include "kernels/launch.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// Uniform on [0, 1): 24 bits for float32, 53 for float64.
struct DrawUniform {
  View out;
  std::uint64_t seed, tick;
};

// Normal, mean 0, standard deviation 1 (Box and Muller 1958, computed in double).
struct DrawNormal {
  View out;
  std::uint64_t seed, tick;
};

// out[i] = in[i] * (u_i < p ? 0 : factor/(1-p)), u_i uniform. Its own derivative: the same request on a gradient.
struct ApplyDropout {
  View in, out;
  double p, factor;
  std::uint64_t seed, tick;
};

void run(OnCpu, const DrawUniform&);
void run(OnCpu, const DrawNormal&);
void run(OnCpu, const ApplyDropout&);
void run(OnCuda, const DrawUniform&);
void run(OnCuda, const DrawNormal&);
void run(OnCuda, const ApplyDropout&);

}  // namespace embergrad
