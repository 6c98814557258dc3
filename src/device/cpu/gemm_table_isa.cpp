// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/gemm_kernel.h"
#include "device/cpu/gemm_pack.h"

namespace tutti::cpu::TUTTI_ISA {

void run_task(const GemmRun& run, int64_t number, int thread);
void run_task_f64(const GemmRun& run, int64_t number, int thread);
void copy_a(const GemmRun& run, const BatchDims& index, const void* a, int64_t row, int rows,
            int64_t k0, int64_t k, float* to, int64_t stride);
void copy_b(const GemmRun& run, const BatchDims& index, const void* b, int64_t panel, int64_t k0,
            int64_t k, float* to);
void narrow(const float* from, DType dtype, void* to, int64_t n);
void widen(const void* from, DType dtype, float* to, int64_t n);

extern const GemmKernels kGemmKernels;
const GemmKernels kGemmKernels = {kWidth, kTileRows,  run_task, run_task_f64, copy_a,
                                  copy_b, pack_panel, narrow,   widen};

}  // namespace tutti::cpu::TUTTI_ISA
