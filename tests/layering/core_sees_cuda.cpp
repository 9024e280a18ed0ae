// Must not compile: core knows no other room.
#include "cuda/block.hpp"
