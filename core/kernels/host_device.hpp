// Functions that host and device compile alike. Always inlined: the same header is compiled for several instruction
// sets, and an out-of-line copy of one of them must never be the one that the linker keeps.
#pragma once

#ifdef __CUDACC__
#define EMBERGRAD_HD __host__ __device__ __forceinline__
#else
#define EMBERGRAD_HD [[gnu::always_inline]] inline
#endif
