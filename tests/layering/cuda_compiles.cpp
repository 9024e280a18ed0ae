// Must compile: shows that the others fail for their own reason.
#include "cuda/block.hpp"
#include "kernels/elementwise.hpp"
