#include "cuda/lstm.hpp"

#include "cuda/launch.cuh"
#include "cuda/scratch.hpp"

namespace embergrad {
namespace {

template <class Request>
void run_layer(OnCuda on, const LstmLayer<Request>& layer) {
  const std::int64_t numbers = cuda::LstmRoom::numbers_for(layer);
  const auto item = static_cast<std::int64_t>(item_size(layer.direction[0].sizes.dtype));
  const cuda::Scratch<char> memory(on, numbers * item);
  cuda::run_with(
      cuda::Start{on}, layer, [on](const Gemm& gemm) { run(on, gemm); }, memory.get());
}

}  // namespace

void run(OnCuda on, const LstmLayer<LstmForward>& layer) { run_layer(on, layer); }
void run(OnCuda on, const LstmLayer<LstmBackward>& layer) { run_layer(on, layer); }

}  // namespace embergrad
