/// @file
/// Umbrella of the core room.
#pragma once

#include <embergrad/autograd.hpp>
#include <embergrad/device.hpp>
#include <embergrad/dtype.hpp>
#include <embergrad/error.hpp>
#include <embergrad/gradcheck.hpp>
#include <embergrad/memory.hpp>
#include <embergrad/mup.hpp>
#include <embergrad/ops.hpp>
#include <embergrad/options.hpp>
#include <embergrad/random.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/shape.hpp>
#include <embergrad/tensor.hpp>
#include <embergrad/warning.hpp>
