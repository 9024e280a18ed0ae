/// @file
/// Umbrella of the whole library but `xtensor.hpp`, which costs seconds of compile time and is included by itself.
#pragma once

#include <embergrad/core.hpp>
#include <embergrad/nn.hpp>
#include <embergrad/optim.hpp>
