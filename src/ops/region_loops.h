// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "device/cpu/isa.h"
#include "ops/region.h"
#include "ops/region_blocks.h"

namespace tutti {

/// How a register of a region is held in memory: small floats as f32, all integers as i64,
/// booleans as bytes 0 and 1.
enum class Lane : uint8_t { f32, f64, i64, b8 };

Lane lane_of(DType dtype);
constexpr int64_t lane_bytes(Lane lane) { return lane == Lane::f32 ? 4 : lane == Lane::b8 ? 1 : 8; }

/// y[i] = fn(a[i], b[i], c[i]) for i in [0, n); y may be an operand of the same lane.
using RegionCompute = void (*)(void* y, const void* a, const void* b, const void* c, int64_t n);
/// y[i] = x[i] in another lane or rounded; y may be x.
using RegionConvert = void (*)(void* y, const void* x, int64_t n);
/// y[r] = fold of x[r * lanes .. (r + 1) * lanes), joined to what y[r] holds when `more`.
using RegionReduce = void (*)(void* y, const void* x, int64_t rows, int64_t lanes, bool more);
/// y[r * lanes + i] = x[r].
using RegionSpread = void (*)(void* y, const void* x, int64_t rows, int64_t lanes);
/// y[r * n + i] = x[r * row_stride + i * stride] for a load, and back for a store.
using RegionMove = void (*)(void* y, const void* x, const BoxRows& rows);

/// The loops compiled for one instruction set; null where a function does not take that lane.
struct RegionLoops {
  RegionCompute (*compute)(Elementwise fn, Lane operands);
  RegionConvert (*convert)(Lane from, Lane to);
  RegionConvert (*round)(DType dtype);  ///< to f16 or bf16 and back, or wraps an integer
  RegionReduce (*reduce)(RegionFold fold, Lane lane);
  RegionSpread (*spread)(Lane lane);
  RegionMove (*load)(DType dtype);   ///< from memory into a register
  RegionMove (*store)(DType dtype);  ///< from a register into memory; x is the register
  RegionMove stream;                 ///< a store of f32 past the caches
  void (*end_streams)();             ///< makes such stores visible to whom this thread wakes
};

const RegionLoops& region_loops(cpu::Isa isa);

}  // namespace tutti
