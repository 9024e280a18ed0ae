// Contracts: filling, converting, copying.
#pragma once

#include "kernels/launch.hpp"
#include "kernels/number.hpp"
#include "kernels/view.hpp"

namespace embergrad {

// out[i] = value, converted to out's type.
struct Fill {
  View out;
  Number value;
};

// out[i] = in[i], converted: floats to integers towards zero, to 16 bits to nearest even. Same type: a copy. The two
// don't overlap unless they are the same.
struct Convert {
  View in, out;
};

// out[p] = in[p] for every position p of their common extents; same type.
struct CopyStrided {
  StridedView in, out;
};

// out[p] += in[p]; float32 or float64; no two positions of out coincide.
struct AddStrided {
  StridedView in, out;
};

void run(OnCpu, const Fill&);
void run(OnCpu, const Convert&);
void run(OnCpu, const CopyStrided&);
void run(OnCpu, const AddStrided&);
void run(OnCuda, const Fill&);
void run(OnCuda, const Convert&);
void run(OnCuda, const CopyStrided&);
void run(OnCuda, const AddStrided&);

}  // namespace embergrad
