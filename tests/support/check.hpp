// What the tests of ops share: runs per dtype, refusals, equal bits, gradients.
#pragma once

#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <exception>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <embergrad/autograd.hpp>
#include <embergrad/dtype.hpp>
#include <embergrad/gradcheck.hpp>
#include <embergrad/row_sparse.hpp>
#include <embergrad/tensor.hpp>

#include "support/compare.hpp"
#include "support/random.hpp"

namespace embergrad::test {

// Calls body(dtype) for the types that compute; what fails says which.
template <class Body>
void for_computing_types(const Body& body) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    BOOST_TEST_CONTEXT(name_of(dtype)) { body(dtype); }
  }
}

// Calls body(dtype) for the types of indices.
template <class Body>
void for_index_types(const Body& body) {
  for (const DType dtype : {DType::int32, DType::int64}) {
    BOOST_TEST_CONTEXT("index " << name_of(dtype)) { body(dtype); }
  }
}

inline boost::test_tools::assertion_result verdict(bool ok, const std::string& message) {
  boost::test_tools::assertion_result result(ok);
  result.message() << message;
  return result;
}

// Is the call refused with exactly this class of error, in words that hold all `parts`?
template <class Expected, class Call>
boost::test_tools::assertion_result refuses(Call&& call, const std::vector<std::string>& parts = {}) {
  try {
    static_cast<void>(std::forward<Call>(call)());
  } catch (const std::exception& error) {
    const std::string message = error.what();
    if (typeid(error) != typeid(Expected)) {
      return verdict(false, fmt::format("another class of error ({}): {}", typeid(error).name(), message));
    }
    for (const std::string& part : parts) {
      if (message.find(part) == std::string::npos) {
        return verdict(false, fmt::format("\"{}\" should be in \"{}\"", part, message));
      }
    }
    return verdict(true, "");
  }
  return verdict(false, "it was not refused");
}

// The elements' bytes.
inline std::vector<unsigned char> bits_of(const Tensor& tensor) {
  const auto count = static_cast<std::size_t>(tensor.numel()) * item_size(tensor.dtype());
  std::vector<unsigned char> bits(count);
  const void* data = nullptr;
  switch (tensor.dtype()) {
    case DType::float32:
      data = tensor.data<float>();
      break;
    case DType::float64:
      data = tensor.data<double>();
      break;
    case DType::float16:
      data = tensor.data<Float16>();
      break;
    case DType::bfloat16:
      data = tensor.data<BFloat16>();
      break;
    case DType::int32:
      data = tensor.data<std::int32_t>();
      break;
    case DType::int64:
      data = tensor.data<std::int64_t>();
      break;
  }
  if (count > 0) std::memcpy(bits.data(), data, count);
  return bits;
}

// Same dtype, shape and bits: stricter than equal_to about zeros' signs.
inline boost::test_tools::assertion_result same_bits(const std::string& name, const Tensor& got,
                                                     const Tensor& expected) {
  const std::string text = difference(name, got, expected, exact);
  if (!text.empty()) return verdict(false, text);
  return verdict(!got.defined() || bits_of(got) == bits_of(expected), name + ": equal numbers, but not equal bits");
}

// A leaf that wants a gradient.
inline Tensor leaf(Draw& draw, const Shape& shape, DType dtype = DType::float64, double low = -1.0, double high = 1.0) {
  return draw.uniform(shape, dtype, low, high).set_requires_grad();
}

// The gradient of a leaf, dense; undefined if it has none.
inline Tensor grad_of(const Tensor& tensor) { return tensor.grad().defined() ? tensor.grad().to_dense() : Tensor(); }

using Inputs = std::vector<Tensor>;

// gradcheck of a function with one output, told rather than thrown.
template <class Function>
boost::test_tools::assertion_result gradients_agree(const Function& function, const Inputs& inputs,
                                                    GradcheckOptions options = {}) {
  options.throw_on_failure = false;
  const GradcheckResult result = gradcheck(function, inputs, options);
  return verdict(result.ok, result.message);
}

// "[2, 3] and [3]" for messages about a set of tensors.
inline std::string shapes_of(const Inputs& tensors) {
  std::string text;
  for (const Tensor& tensor : tensors) text += (text.empty() ? "" : " and ") + tensor.shape().to_string();
  return text;
}

}  // namespace embergrad::test
