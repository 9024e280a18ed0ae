/// @file
/// Umbrella of the optim room.
#pragma once

#include <embergrad/optim/adagrad.hpp>
#include <embergrad/optim/adam.hpp>
#include <embergrad/optim/adamax.hpp>
#include <embergrad/optim/betas.hpp>
#include <embergrad/optim/checkpoint.hpp>
#include <embergrad/optim/clip.hpp>
#include <embergrad/optim/lion.hpp>
#include <embergrad/optim/mup.hpp>
#include <embergrad/optim/nadam.hpp>
#include <embergrad/optim/optimizer.hpp>
#include <embergrad/optim/optimizer_of.hpp>
#include <embergrad/optim/radam.hpp>
#include <embergrad/optim/rmsprop.hpp>
#include <embergrad/optim/row_optimizer.hpp>
#include <embergrad/optim/schedule.hpp>
#include <embergrad/optim/sgd.hpp>
#include <embergrad/optim/sparse_adam.hpp>
#include <embergrad/optim/updates.hpp>
