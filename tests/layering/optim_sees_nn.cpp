// Must not compile: optimizers take tensors and know nothing of layers.
#include <embergrad/nn/module.hpp>
