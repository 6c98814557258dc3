// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "device/cpu/gemm_recipe.h"

// For x_isa.cpp files: copies of A and B in the form that kernels read.
namespace tutti::cpu::TUTTI_ISA {

/// Floats between copied rows of A beyond their length: keeps rows out of one cache set.
inline constexpr int kCopyPadding = 16;

/// Writes rows [row, row + rows) x columns [k0, k0 + k) of `a` as f32, rows `stride` apart.
void copy_rows(const void* a, const MatrixLayout& from, int64_t row, int rows, int64_t k0,
               int64_t k, float* to, int64_t stride);

/// Writes rows of f32, `stride` apart, as [k][rows]; up to kLanes floats more are overwritten.
void interleave_rows(const float* from, int64_t stride, int rows, int64_t k, float* to);

/// Writes `rows` x `columns` of `matrix` as f32 [rows][kWidth], zeros past the last column.
void pack_panel(const void* matrix, const MatrixLayout& from, int64_t rows, int columns, float* to);

}  // namespace tutti::cpu::TUTTI_ISA
