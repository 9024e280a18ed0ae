// What the CUDA room offers beside kernels: which GPUs there are, their memory, and copies. Calls stand behind
// `built_with_cuda`. All but `missing` throw DeviceError or OutOfMemory with CUDA's own words.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/launch.hpp"

namespace embergrad::cuda {

// What keeps a GPU from being used, such as "no NVIDIA driver: libcuda.so.1 was not found"; empty if nothing does.
[[nodiscard]] std::string missing(OnCuda on);

// Memory in the order of the GPU's stream: a freed block may be handed out again at once.
[[nodiscard]] void* allocate(OnCuda on, std::size_t bytes);
void release(OnCuda on, void* block) noexcept;

// Returns when all work of the GPU's stream is done.
void synchronize(OnCuda on);

// `from` may be changed when these return, and `to` be read: by the host, or in the order of its GPU. Only
// copy_from_host does not wait for the GPU.
void copy_from_host(OnCuda on, void* to, const void* from, std::size_t bytes);
void copy_to_host(OnCuda on, void* to, const void* from, std::size_t bytes);
void copy_between(OnCuda to_gpu, void* to, OnCuda from_gpu, const void* from, std::size_t bytes);

}  // namespace embergrad::cuda
