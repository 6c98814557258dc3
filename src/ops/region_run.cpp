// SPDX-License-Identifier: Apache-2.0
#include "ops/region_program.h"

namespace tutti {

// Positions and sizes of the block and chunk at hand.
struct RegionProgram::Block {
  const KernelArgs& args;
  char* workspace;  // begins with a table: by operation, where its access begins
  int64_t block = 0, chunk = 0;
  int64_t rows = 0, lanes = 0;
  bool short_block = false, short_chunk = false;
  int64_t invariant_rows = 0;  // for which invariants were computed in this task
  bool compute_invariants = true;

  char*& start(size_t operation) const { return reinterpret_cast<char**>(workspace)[operation]; }
  char* operand(int32_t index) const {
    const auto i = static_cast<size_t>(index);
    return (i < args.in.size() ? args.in[i] : args.out[i - args.in.size()]).as<char>();
  }
};

void RegionProgram::run(const KernelArgs& args, char* workspace, int64_t begin, int64_t end) const {
  Block block{args, workspace};
  for (block.block = begin; block.block < end; ++block.block) {
    const int64_t range = rows_.range_of(part_.space, block.block);
    block.rows = range * rows_.inner;
    block.short_block = range != rows_.range;
    block.compute_invariants = block.rows > block.invariant_rows;
    block.invariant_rows = std::max(block.invariant_rows, block.rows);
    run_block(block);
  }
  if (streams_) loops_.end_streams();
}

void RegionProgram::run_block(Block& block) const {
  for (size_t phase = 0; phase < chunk_phases_.size(); ++phase) {
    block.chunk = 0;
    locate(block);
    for (int32_t n : row_phases_[phase]) execute(operations_[static_cast<size_t>(n)], block);
    for (; block.chunk < chunks_.pieces; ++block.chunk) {
      const int64_t range = chunks_.range_of(part_.space, block.chunk);
      block.lanes = range * chunks_.inner;
      block.short_chunk = range != chunks_.range;
      if (block.chunk > 0) locate(block);
      for (int32_t n : chunk_phases_[phase]) execute(operations_[static_cast<size_t>(n)], block);
    }
  }
}

// Notes where the accesses of the block and chunk begin.
void RegionProgram::locate(Block& block) const {
  const Dims row = rows_.position(part_.space, block.block);
  const Dims lane = chunks_.position(part_.space, block.chunk);
  for (int32_t n : accesses_) {
    const Operation& o = operations_[static_cast<size_t>(n)];
    const Dims& strides = o.access.strides;
    const int64_t offset =
        o.access.offset + rows_.offset(row, strides) + chunks_.offset(lane, strides);
    block.start(static_cast<size_t>(n)) = block.operand(o.operand) + offset * o.element_bytes;
  }
}

char* RegionProgram::at(int32_t reg, const Block& block) const {
  const Register& r = registers_[static_cast<size_t>(reg)];
  return r.memory < 0 ? block.workspace + r.offset : block.start(static_cast<size_t>(r.memory));
}

void RegionProgram::execute(const Operation& o, const Block& block) const {
  if (o.invariant && !block.compute_invariants) return;
  const int64_t n = o.row ? block.rows : block.rows * block.lanes;
  switch (o.kind) {
    case Kind::load:
    case Kind::store: {
      const int32_t reg = o.kind == Kind::load ? o.target : o.a;
      const int32_t own = registers_[static_cast<size_t>(reg)].memory;
      if (own >= 0 && &operations_[static_cast<size_t>(own)] == &o) return;
      char* registers = at(reg, block);
      char* memory = block.start(static_cast<size_t>(&o - operations_.data()));
      const int64_t lane = lane_bytes(registers_[static_cast<size_t>(reg)].lane);
      for_each_rows(o.boxes[block.short_block][block.short_chunk],
                    [&](int64_t element, int64_t offset, const BoxRows& rows) {
                      char* in_register = registers + element * lane;
                      char* in_memory = memory + offset * o.element_bytes;
                      if (o.kind == Kind::load)
                        o.move(in_register, in_memory, rows);
                      else
                        o.move(in_memory, in_register, rows);
                    });
      return;
    }
    case Kind::index:
      return write_index(o, block);
    case Kind::fill:
      return fill(at(o.target, block), registers_[static_cast<size_t>(o.target)].lane, o.value, n);
    case Kind::compute:
      return o.compute(at(o.target, block), at(o.a, block), o.b < 0 ? nullptr : at(o.b, block),
                       o.c < 0 ? nullptr : at(o.c, block), n);
    case Kind::convert:
      return o.convert(at(o.target, block), at(o.a, block), n);
    case Kind::reduce:
      return o.reduce(at(o.target, block), at(o.a, block), block.rows, block.lanes,
                      block.chunk > 0);
    case Kind::spread:
      return o.spread(at(o.target, block), at(o.a, block), block.rows, block.lanes);
  }
}

void RegionProgram::write_index(const Operation& o, const Block& block) const {
  auto* out = reinterpret_cast<int64_t*>(at(o.target, block));
  const Dims& strides = o.access.strides;
  const int64_t start =
      o.access.offset + rows_.offset(rows_.position(part_.space, block.block), strides) +
      (o.row ? 0 : chunks_.offset(chunks_.position(part_.space, block.chunk), strides));
  Dims shape, steps;
  auto cover = [&](const Cutter& cut, int64_t positions) {
    for (int k = cut.axis; k < cut.end; ++k) {
      shape.push_back(k == cut.axis ? positions / cut.inner : part_.space[k]);
      steps.push_back(strides[k]);
    }
  };
  cover(rows_, block.rows);
  if (!o.row) cover(chunks_, block.lanes);
  for_each_rows(make_box(shape, steps), [&](int64_t element, int64_t offset, const BoxRows& rows) {
    for (int64_t r = 0; r < rows.rows; ++r)
      for (int64_t i = 0; i < rows.n; ++i)
        out[element++] = start + offset + r * rows.row_stride + i * rows.stride;
  });
}

void RegionProgram::fill(void* y, Lane lane, double value, int64_t n) {
  switch (lane) {
    case Lane::f32:
      std::fill_n(static_cast<float*>(y), n, static_cast<float>(value));
      return;
    case Lane::f64:
      std::fill_n(static_cast<double*>(y), n, value);
      return;
    case Lane::i64:
      std::fill_n(static_cast<int64_t*>(y), n, static_cast<int64_t>(value));
      return;
    case Lane::b8:
      std::fill_n(static_cast<uint8_t*>(y), n, value != 0);
      return;
  }
}

}  // namespace tutti
