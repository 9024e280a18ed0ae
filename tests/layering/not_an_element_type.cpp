// Must not compile: tensors hold no such elements.
#include <embergrad/tensor.hpp>
struct Odd {};
const Odd* odd(const embergrad::Tensor& tensor) { return tensor.data<Odd>(); }
