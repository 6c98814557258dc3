// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <numeric>
#include <vector>

#include "device/cpu/pool.h"
#include "ops/implementation.h"
#include "ops/region_blocks.h"
#include "ops/region_loops.h"

namespace tutti {

/// One part of a region made ready for operands of fixed strides.
///
/// Rows are positions of the outer axes, lanes those of the lane axes (1 without). A block is a box
/// of rows; registers hold rows x lanes elements of it, or one for each row. Rows longer than a
/// register may be are taken in chunks, once for each level of reductions.
class RegionProgram {
 public:
  RegionProgram(const RegionPart& part, const KernelSpec& spec, const RegionLoops& loops);

  /// False when some instruction has no loop; then run must not be called.
  bool supported() const { return supported_; }
  int64_t blocks() const { return rows_.pieces; }
  /// Elements times operations.
  int64_t work() const;
  /// Bytes for one thread.
  int64_t workspace() const { return bytes_; }
  /// Runs blocks [begin, end).
  void run(const KernelArgs& args, char* workspace, int64_t begin, int64_t end) const;

 private:
  enum class Kind : uint8_t { load, index, fill, compute, convert, reduce, spread, store };

  struct Operation {
    Kind kind;
    bool row = false;        // works on one element for each row
    bool invariant = false;  // gives the same for every block
    int level = 0;           // reductions it waits for
    int32_t target = -1, a = -1, b = -1, c = -1;
    int32_t operand = -1;  // of the kernel: inputs, then outputs
    RegionAccess access;
    Box boxes[2][2];  // by whether the block, the chunk is a shorter last one
    int64_t element_bytes = 4;
    double value = 0;
    RegionCompute compute = nullptr;
    RegionConvert convert = nullptr;
    RegionReduce reduce = nullptr;
    RegionSpread spread = nullptr;
    RegionMove move = nullptr;
  };

  // Where a register's elements are: its own bytes, or memory of an operand as it lies there.
  struct Register {
    Lane lane = Lane::f32;
    bool row = false;
    bool invariant = false;
    int level = 0;
    int32_t memory = -1;  // the operation (load or store) whose memory it is
    int64_t offset = -1;  // in the workspace
    int32_t same = -1;    // another register with the same elements
  };

  struct Block;  // what run knows of the block and chunk at hand

  void translate(const RegionInstruction& i, bool row);
  void translate_compute(const RegionInstruction& i, bool row);
  void translate_cast(const RegionInstruction& i, bool row);
  void translate_store(const RegionInstruction& i);
  void add_round(DType dtype, int32_t reg);
  int32_t spread(int32_t reg);
  int32_t add_register(Lane lane, bool row);
  int32_t resolve(int32_t reg) const;
  Operation& add(Operation operation);
  void set_access(Operation& o, const RegionInstruction& i);
  int64_t operand_bytes(const Operation& o) const;
  void store_directly();
  void allocate();
  void make_phases();
  int64_t register_bytes(const Register& r) const;

  void run_block(Block& block) const;
  void locate(Block& block) const;
  void execute(const Operation& o, const Block& block) const;
  char* at(int32_t reg, const Block& block) const;
  void write_index(const Operation& o, const Block& block) const;
  static void fill(void* y, Lane lane, double value, int64_t n);

  const RegionPart& part_;
  const RegionLoops& loops_;
  std::span<const Tensor> in_, out_;  // layouts; during construction only
  bool supported_ = true;
  int outer_ = 0;
  int64_t lanes_ = 1;
  Cutter rows_, chunks_;
  std::vector<Operation> operations_;
  std::vector<int32_t> accesses_;  // operations that load or store
  std::vector<Register> registers_;
  std::vector<int32_t> result_;  // register of each instruction
  std::vector<int32_t> spread_;  // by register: its elements for all lanes
  std::vector<std::vector<int32_t>> row_phases_, chunk_phases_;  // operations by level
  int64_t bytes_ = 0;
  bool streams_ = false;
};

}  // namespace tutti
