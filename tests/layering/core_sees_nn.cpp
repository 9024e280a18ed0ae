// Must not compile: core knows no other room.
#include <embergrad/nn/module.hpp>
