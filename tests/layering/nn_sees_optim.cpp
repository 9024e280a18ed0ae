// Must not compile: layers know nothing of optimizers.
#include <embergrad/optim/optimizer.hpp>
