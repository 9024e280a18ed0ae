// Must not compile: the CUDA room knows no tensors, no tape and no layers.
#include <embergrad/tensor.hpp>
