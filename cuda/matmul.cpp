// The one place that names cuBLAS. The library is loaded when the first product is asked for: a program runs without
// it.
#include "cuda/matmul.hpp"

#include <embergrad/error.hpp>

#include <cublas_v2.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "cuda/context.hpp"

namespace embergrad {
namespace cuda {
namespace {

struct Cublas {
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSgemm_v2_64) sgemm = nullptr;
  decltype(&cublasDgemm_v2_64) dgemm = nullptr;
  decltype(&cublasGetStatusName) status_name = nullptr;
  std::string missing;  // why there is no cuBLAS
};

#define EMBERGRAD_TEXT_OF(name) #name
#define EMBERGRAD_TEXT(name) EMBERGRAD_TEXT_OF(name)
constexpr const char* library_name = "libcublas.so." EMBERGRAD_TEXT(CUBLAS_VER_MAJOR);
constexpr const char* usual_place = "/usr/local/cuda/lib64/libcublas.so." EMBERGRAD_TEXT(CUBLAS_VER_MAJOR);

// EMBERGRAD_CUBLAS=path names a library of one's own.
Cublas load() {
  Cublas cublas;
  const char* wish = std::getenv("EMBERGRAD_CUBLAS");
  const char* name = wish != nullptr ? wish : library_name;
  void* library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    cublas.missing = fmt::format("cuBLAS could not be loaded: {}", dlerror());
    if (wish == nullptr) library = dlopen(usual_place, RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) return cublas;
    cublas.missing.clear();
  }
  const auto find = [&](auto& function, const char* symbol) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
    if (function == nullptr) cublas.missing = fmt::format("{} has no {}", name, symbol);
  };
  find(cublas.create, "cublasCreate_v2");
  find(cublas.set_stream, "cublasSetStream_v2");
  find(cublas.sgemm, "cublasSgemm_v2_64");
  find(cublas.dgemm, "cublasDgemm_v2_64");
  find(cublas.status_name, "cublasGetStatusName");
  return cublas;
}

const Cublas& cublas(OnCuda on) {
  static const auto* library = new Cublas(load());
  if (!library->missing.empty()) throw DeviceError(fmt::format("cuda:{}: {}", on.index, library->missing));
  return *library;
}

void check(cublasStatus_t status, const char* call, OnCuda on) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string message = fmt::format("cuda:{}: {}: {}", on.index, call, cublas(on).status_name(status));
  if (status == CUBLAS_STATUS_ALLOC_FAILED) throw OutOfMemory(message);
  throw DeviceError(message);
}

// A handle may be used by one thread at a time.
struct Handles {
  std::mutex mutex;
  std::unordered_map<int, cublasHandle_t> of_gpu;
};

cublasHandle_t handle_of(Handles& handles, OnCuda on, cudaStream_t stream) {
  cublasHandle_t& handle = handles.of_gpu[on.index];
  if (handle == nullptr) {
    cublasHandle_t made = nullptr;
    check(cublas(on).create(&made), "cublasCreate", on);
    check(cublas(on).set_stream(made, stream), "cublasSetStream", on);
    handle = made;
  }
  return handle;
}

template <class T, class Function>
void multiply(Function* function, cublasHandle_t handle, const ColumnMajorGemm& g, OnCuda on) {
  const T alpha = static_cast<T>(g.alpha);
  const T beta = static_cast<T>(g.beta);
  const auto op = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  check(function(handle, op(g.transpose_a), op(g.transpose_b), g.m, g.n, g.k, &alpha, static_cast<const T*>(g.a), g.lda,
                 static_cast<const T*>(g.b), g.ldb, &beta, static_cast<T*>(g.c), g.ldc),
        "cublas gemm", on);
}

}  // namespace
}  // namespace cuda

void run(OnCuda on, const Gemm& gemm) {
  if (gemm.m == 0 || gemm.n == 0) return;
  const cudaStream_t stream = cuda::stream_of(on);
  const cuda::Current current(on);
  if (gemm.k == 0 && gemm.beta == 1) return;
  if (gemm.k == 0 && gemm.beta == 0) {
    const std::size_t item = item_size(gemm.dtype);
    cuda::check(cudaMemset2DAsync(gemm.c, static_cast<std::size_t>(gemm.ldc) * item, 0,
                                  static_cast<std::size_t>(gemm.n) * item, static_cast<std::size_t>(gemm.m), stream),
                "cudaMemset2DAsync", on);
    return;
  }
  static auto* handles = new cuda::Handles;
  const std::scoped_lock lock(handles->mutex);
  const cublasHandle_t handle = cuda::handle_of(*handles, on, stream);
  const cuda::ColumnMajorGemm columns = cuda::column_major(gemm);
  if (gemm.dtype == DType::float64) {
    cuda::multiply<double>(cuda::cublas(on).dgemm, handle, columns, on);
  } else {
    cuda::multiply<float>(cuda::cublas(on).sgemm, handle, columns, on);
  }
}

}  // namespace embergrad
