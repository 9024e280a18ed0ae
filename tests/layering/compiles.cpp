// Must compile: shows that the others fail for their own reason.
#include <embergrad/nn/lstm.hpp>
embergrad::nn::LSTM lstm({.input_size = 10, .hidden_size = 20});
const float* floats(const embergrad::Tensor& tensor) { return tensor.data<float>(); }
