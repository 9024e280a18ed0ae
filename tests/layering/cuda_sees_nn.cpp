// Must not compile: the CUDA room knows no layers.
#include <embergrad/nn/module.hpp>
