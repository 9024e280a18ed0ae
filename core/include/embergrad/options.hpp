/// @file
/// What options structs are made of.
#pragma once

#include <concepts>
#include <utility>

namespace embergrad {

/// A field of an options struct that must be given: leaving it out of the designated initializers does not compile.
/// Converts from and to T by itself.
template <class T>
class Required {
 public:
  /// Of its value.
  constexpr Required(T value)
      : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor): `.size = 3` must work
  /// A size is not given as 2.5.
  template <std::floating_point Number>
  requires std::integral<T> Required(Number)
  = delete;
  /// Its value.
  constexpr operator const T&() const { return value_; }  // NOLINT(google-explicit-constructor)

 private:
  T value_;
};

}  // namespace embergrad
