/// @file
/// Umbrella of the nn room.
#pragma once

#include <embergrad/nn/dropout.hpp>
#include <embergrad/nn/embedding.hpp>
#include <embergrad/nn/embedding_bag.hpp>
#include <embergrad/nn/embedding_table.hpp>
#include <embergrad/nn/init.hpp>
#include <embergrad/nn/linear.hpp>
#include <embergrad/nn/loss.hpp>
#include <embergrad/nn/lstm.hpp>
#include <embergrad/nn/module.hpp>
#include <embergrad/nn/packed_sequence.hpp>
#include <embergrad/nn/sequential.hpp>
#include <embergrad/nn/unit_scaling.hpp>
