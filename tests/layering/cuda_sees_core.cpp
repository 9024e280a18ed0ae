// Must not compile: of core, the CUDA room sees the contracts alone.
#include "src/tensor_state.hpp"
