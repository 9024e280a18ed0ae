// Must not compile: hidden_size is required.
#include <embergrad/nn/lstm.hpp>
embergrad::nn::LSTM lstm({.input_size = 10});
