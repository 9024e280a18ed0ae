// GPUs as the CUDA room uses them: one stream each, errors as exceptions.
#pragma once

#include <cuda_runtime_api.h>

#include <typeinfo>

#include "kernels/device.hpp"

namespace embergrad::cuda {

// Throws unless `status` is success: OutOfMemory for a lack of memory, else DeviceError, with CUDA's name for it.
void check(cudaError_t status, const char* call, OnCuda on);

// The same for the launch of a kernel body.
void check_launch(cudaError_t status, const std::type_info& body, OnCuda on);

// The stream of a GPU, on which all work for it is done in order. DeviceError if the GPU can't be used.
cudaStream_t stream_of(OnCuda on);

// Makes a GPU this thread's current one for as long as this lives.
class Current {
 public:
  explicit Current(OnCuda on);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  Current(Current&&) = delete;
  Current& operator=(Current&&) = delete;

 private:
  int before_ = 0;
};

// Does this build hold code for the current GPU? Success, or CUDA's reason. In memory.cu.
cudaError_t find_code();

}  // namespace embergrad::cuda
