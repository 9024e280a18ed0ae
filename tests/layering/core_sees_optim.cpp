// Must not compile: core knows no other room.
#include <embergrad/optim/optimizer.hpp>
