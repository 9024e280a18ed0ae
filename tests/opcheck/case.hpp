// A case as the ops see it: arguments, tensors, and the outputs that they give.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <embergrad/error.hpp>
#include <embergrad/safetensors.hpp>
#include <embergrad/tensor.hpp>

namespace embergrad::opcheck {

using Json = nlohmann::json;

// What this build doesn't know or doesn't have yet. Not a refusal, so not one of embergrad's errors.
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The JSON "args". `null` is the absent option; a value of the wrong type is a ValueError that names it.
class Arguments {
 public:
  Arguments(std::string owner, Json values) : owner_(std::move(owner)), values_(std::move(values)) {}

  [[nodiscard]] const Json& values() const { return values_; }
  [[nodiscard]] bool has(const std::string& name) const {
    return values_.contains(name) && !values_.at(name).is_null();
  }

  template <class T>
  [[nodiscard]] std::optional<T> find(const std::string& name) const {
    if (!has(name)) return std::nullopt;
    return convert<T>(name, values_.at(name));
  }
  template <class T>
  [[nodiscard]] T get(const std::string& name) const {
    if (!has(name)) throw ValueError(fmt::format("{}: argument {} is missing", owner_, name));
    return convert<T>(name, values_.at(name));
  }
  template <class T>
  [[nodiscard]] T get(const std::string& name, T otherwise) const {
    return find<T>(name).value_or(std::move(otherwise));
  }

  [[noreturn]] void refuse(const std::string& name, const char* expected) const {
    throw ValueError(fmt::format("{}: {} is {}, expected {}", owner_, name, values_.at(name).dump(), expected));
  }

  // Every name is one of these.
  void know(std::span<const std::string_view> names) const {
    for (const auto& [name, value] : values_.items()) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        throw Unsupported(fmt::format("{}: unknown argument {}", owner_, name));
      }
    }
  }

 private:
  template <class T>
  [[nodiscard]] T convert(const std::string& name, const Json& value) const {
    if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_boolean()) refuse(name, "a boolean");
      return value.get<bool>();
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      if (!is_integer(value)) refuse(name, "an integer");
      return value.get<std::int64_t>();
    } else if constexpr (std::is_same_v<T, int>) {
      // A dimension. One that no tensor has must not become one by losing bits.
      const auto wide = convert<std::int64_t>(name, value);
      return static_cast<int>(std::clamp<std::int64_t>(wide, -1'000'000, 1'000'000));
    } else if constexpr (std::is_same_v<T, double>) {
      if (value == "inf") return std::numeric_limits<double>::infinity();
      if (value == "-inf") return -std::numeric_limits<double>::infinity();
      if (value == "nan") return std::numeric_limits<double>::quiet_NaN();
      if (!value.is_number()) refuse(name, "a number");
      return value.get<double>();
    } else if constexpr (std::is_same_v<T, Scalar>) {
      return is_integer(value) ? Scalar(value.get<std::int64_t>()) : Scalar(convert<double>(name, value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) refuse(name, "a string");
      return value.get<std::string>();
    } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
      if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_integer)) refuse(name, "a list of integers");
      return value.get<std::vector<std::int64_t>>();
    } else {
      static_assert(std::is_same_v<T, std::vector<double>>);
      if (!value.is_array() || !std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_number(); })) {
        refuse(name, "a list of numbers");
      }
      return value.get<std::vector<double>>();
    }
  }

  static bool is_integer(const Json& value) {
    return value.is_number_unsigned() ? value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max()
                                      : value.is_number_integer();
  }

  std::string owner_;
  Json values_;
};

struct Case {
  std::string op;
  Arguments args;
  StateDict inputs;  // on the device, marked where a gradient is wanted
  StateDict output_gradients;
  std::vector<std::string> wanted;

  [[nodiscard]] Tensor find(const std::string& name) const {
    return inputs.contains(name) ? inputs.at(name) : Tensor();
  }
  [[nodiscard]] const Tensor& get(const std::string& name) const {
    if (!inputs.contains(name)) throw ValueError(fmt::format("{}: tensor {} is missing", op, name));
    return inputs.at(name);
  }
};

using Outputs = std::vector<StateDict::Entry>;

inline bool is_16_bit(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }

// The op `optimizer`.
[[nodiscard]] Outputs run_optimizer(const Case& c);

}  // namespace embergrad::opcheck
