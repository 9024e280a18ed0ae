// Must not compile: layers are made of ops, not of kernels.
#include "kernels/launch.hpp"
