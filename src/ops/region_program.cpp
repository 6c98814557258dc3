// SPDX-License-Identifier: Apache-2.0
#include "ops/region_program.h"

#include <cstring>

namespace tutti {
namespace {

constexpr int64_t kBlockElements = 1024;  // of a register: some of them fit the first cache
constexpr int64_t kMaxLanes = 16384;      // longer rows are taken in chunks

constexpr size_t kStreamedBytes = 8 << 20;  // outputs that no cache keeps go past the caches

bool streams(const Tensor& out) { return out.dtype == DType::f32 && out.bytes() >= kStreamedBytes; }

int64_t align(int64_t bytes) { return (bytes + 63) / 64 * 64; }

bool lies_as_in_register(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::i64 ||
         dtype == DType::boolean;
}

}  // namespace

Lane lane_of(DType dtype) {
  if (dtype == DType::f64) return Lane::f64;
  if (dtype == DType::boolean) return Lane::b8;
  return is_integer(dtype) ? Lane::i64 : Lane::f32;
}

RegionProgram::RegionProgram(const RegionPart& part, const KernelSpec& spec,
                             const RegionLoops& loops)
    : part_(part), loops_(loops), in_(spec.in), out_(spec.out) {
  const int rank = part.space.rank();
  outer_ = rank - part.lanes;
  for (int k = outer_; k < rank; ++k) lanes_ *= part.space[k];
  chunks_ = Cutter(part.space, outer_, rank, std::min(lanes_, kMaxLanes));
  rows_ = Cutter(part.space, 0, outer_, std::max<int64_t>(1, kBlockElements / chunks_.size()));
  const std::vector<bool> rows = row_registers(part);
  for (size_t i = 0; i < part.code.size() && supported_; ++i)
    translate(part.code[i], part.lanes == 0 || rows[i]);
  if (!supported_) return;
  make_phases();
  if (chunk_phases_.size() == 1) store_directly();
  allocate();
}

int64_t RegionProgram::work() const {
  return elements(part_.space) * static_cast<int64_t>(operations_.size());
}

int32_t RegionProgram::resolve(int32_t reg) const {
  while (registers_[static_cast<size_t>(reg)].same >= 0)
    reg = registers_[static_cast<size_t>(reg)].same;
  return reg;
}

int32_t RegionProgram::add_register(Lane lane, bool row) {
  registers_.push_back({lane, row});
  spread_.push_back(-1);
  return static_cast<int32_t>(registers_.size()) - 1;
}

// Appends an operation and derives level and invariance of its target.
RegionProgram::Operation& RegionProgram::add(Operation o) {
  bool invariant = o.kind != Kind::index && o.kind != Kind::store && o.kind != Kind::reduce &&
                   chunks_.pieces == 1;
  if (o.kind == Kind::load || o.kind == Kind::store)
    for (int k = 0; k < outer_; ++k) invariant = invariant && o.access.strides[k] == 0;
  for (int32_t reg : {o.a, o.b, o.c}) {
    if (reg < 0) continue;
    const Register& r = registers_[static_cast<size_t>(reg)];
    o.level = std::max(o.level, r.level);
    invariant = invariant && r.invariant;
  }
  o.invariant = invariant;
  if (o.target >= 0) {
    Register& target = registers_[static_cast<size_t>(o.target)];
    target.level = std::max(target.level, o.level + (o.kind == Kind::reduce));
    target.invariant = invariant;
  }
  if (o.kind == Kind::load || o.kind == Kind::store)
    accesses_.push_back(static_cast<int32_t>(operations_.size()));
  operations_.push_back(std::move(o));
  return operations_.back();
}

void RegionProgram::set_access(Operation& o, const RegionInstruction& i) {
  const bool store = i.code == RegionCode::store;
  const Tensor& t = (store ? out_ : in_)[static_cast<size_t>(i.operand)];
  o.operand = i.operand + (store ? static_cast<int32_t>(in_.size()) : 0);
  o.access = region_access(i, part_, t.strides);
  o.element_bytes = static_cast<int64_t>(size_of(t.dtype));
  o.move = store ? loops_.store(t.dtype) : loops_.load(t.dtype);
  if (store && streams(t)) {
    o.move = loops_.stream;
    streams_ = true;
  }
  supported_ = supported_ && o.move != nullptr;
  for (int short_block = 0; short_block < 2; ++short_block) {
    for (int short_chunk = 0; short_chunk < 2; ++short_chunk) {
      Dims shape, strides;
      auto cover = [&](const Cutter& cut, bool last) {
        for (int k = cut.axis; k < cut.end; ++k) {
          const bool is_cut = k == cut.axis;
          const int64_t rest = part_.space[k] - (cut.ranges - 1) * cut.range;
          shape.push_back(is_cut ? (last ? rest : cut.range) : part_.space[k]);
          strides.push_back(o.access.strides[k]);
        }
      };
      cover(rows_, short_block);
      if (!o.row) cover(chunks_, short_chunk);
      o.boxes[short_block][short_chunk] = make_box(shape, strides);
    }
  }
}

void RegionProgram::translate(const RegionInstruction& i, bool row) {
  result_.push_back(-1);
  if (i.code == RegionCode::store) return translate_store(i);
  if (i.code == RegionCode::compute) return translate_compute(i, row);
  if (i.code == RegionCode::cast) return translate_cast(i, row);
  const Lane lane = lane_of(i.dtype);
  Operation o{Kind::load};
  o.row = row;
  o.target = result_.back() = add_register(lane, row);
  Register& target = registers_.back();
  if (i.code == RegionCode::load) {
    set_access(o, i);
    const bool dense =
        o.boxes[0][0].contiguous() && o.boxes[1][0].contiguous() && o.boxes[0][1].contiguous();
    if (dense && lies_as_in_register(i.dtype))
      target.memory = static_cast<int32_t>(operations_.size());
  } else if (i.code == RegionCode::constant) {
    o.kind = Kind::fill;
    o.value = i.value;
  } else if (i.code == RegionCode::index) {
    o.kind = Kind::index;
    o.access.offset = i.at[0].offset;
    o.access.strides = Dims(i.at[0].factors);
  } else {
    o.kind = Kind::reduce;
    o.a = resolve(result_[static_cast<size_t>(i.a)]);
    if (registers_[static_cast<size_t>(o.a)].row) o.a = spread(o.a);
    o.reduce = loops_.reduce(i.fold, lane);
    supported_ = supported_ && o.reduce != nullptr;
  }
  add(std::move(o));
  if (i.code != RegionCode::load && supported_) add_round(i.dtype, result_.back());
}

// The register with one element for each lane.
int32_t RegionProgram::spread(int32_t reg) {
  int32_t& known = spread_[static_cast<size_t>(reg)];
  if (known >= 0) return known;
  const Lane lane = registers_[static_cast<size_t>(reg)].lane;
  Operation o{Kind::spread};
  o.a = reg;
  const int32_t target = add_register(lane, false);
  o.target = spread_[static_cast<size_t>(reg)] = target;
  o.spread = loops_.spread(lane);
  add(std::move(o));
  return target;
}

void RegionProgram::add_round(DType dtype, int32_t reg) {
  const bool exact = lies_as_in_register(dtype);
  if (exact) return;
  Operation o{Kind::convert};
  o.row = registers_[static_cast<size_t>(reg)].row;
  o.a = o.target = reg;
  o.convert = loops_.round(dtype);
  supported_ = supported_ && o.convert != nullptr;
  add(std::move(o));
}

void RegionProgram::translate_compute(const RegionInstruction& i, bool row) {
  Operation o{Kind::compute};
  o.row = row;
  const int32_t sources[] = {i.a, i.b, i.c};
  int32_t* operands[] = {&o.a, &o.b, &o.c};
  const int arity = info(i.fn).arity;
  for (int k = 0; k < arity; ++k) {
    const int32_t reg = resolve(result_[static_cast<size_t>(sources[k])]);
    *operands[k] = !row && registers_[static_cast<size_t>(reg)].row ? spread(reg) : reg;
  }
  const int32_t typed = i.fn == Elementwise::select ? o.b : o.a;
  o.compute = loops_.compute(i.fn, registers_[static_cast<size_t>(typed)].lane);
  supported_ = supported_ && o.compute != nullptr;
  o.target = result_.back() = add_register(lane_of(i.dtype), row);
  add(std::move(o));
  add_round(i.dtype, result_.back());
}

void RegionProgram::translate_cast(const RegionInstruction& i, bool row) {
  const int32_t source = resolve(result_[static_cast<size_t>(i.a)]);
  const Lane from = registers_[static_cast<size_t>(source)].lane, to = lane_of(i.dtype);
  if (from == to && lies_as_in_register(i.dtype)) {
    result_.back() = source;
    return;
  }
  Operation o{Kind::convert};
  o.row = row;
  o.a = source;
  o.convert = from == to ? loops_.round(i.dtype) : loops_.convert(from, to);
  supported_ = supported_ && o.convert != nullptr;
  o.target = result_.back() = add_register(to, row);
  add(std::move(o));
  if (from != to) add_round(i.dtype, result_.back());
}

void RegionProgram::translate_store(const RegionInstruction& i) {
  Operation o{Kind::store};
  o.a = resolve(result_[static_cast<size_t>(i.a)]);
  o.row = registers_[static_cast<size_t>(o.a)].row;
  const RegionAccess access = region_access(i, part_, out_[static_cast<size_t>(i.operand)].strides);
  bool varies = false;
  for (int k = outer_; k < part_.space.rank(); ++k)
    varies = varies || (access.strides[k] != 0 && part_.space[k] > 1);
  if (o.row && varies && part_.lanes > 0) {
    o.a = spread(o.a);
    o.row = false;
  }
  set_access(o, i);
  add(std::move(o));
}

// Which operations run when: with one chunk all in order, else by level: those for each row
// first, then, for every chunk, what the reductions of the level (at last: the stores) need.
void RegionProgram::make_phases() {
  int levels = 0;
  for (const Operation& o : operations_) levels = std::max(levels, o.level);
  if (chunks_.pieces == 1) {
    std::vector<int32_t> all(operations_.size());
    std::iota(all.begin(), all.end(), 0);
    row_phases_.push_back({});
    chunk_phases_.push_back(std::move(all));
    return;
  }
  for (int level = 0; level <= levels; ++level) {
    std::vector<bool> needed(registers_.size());
    std::vector<int32_t> rows, chunk;
    for (size_t n = operations_.size(); n-- > 0;) {
      const Operation& o = operations_[n];
      const bool row_work = o.row && o.kind != Kind::reduce;
      if (row_work) {
        if (o.level == level) rows.push_back(static_cast<int32_t>(n));
        continue;
      }
      const bool root = (o.kind == Kind::reduce && o.level == level) ||
                        (o.kind == Kind::store && level == levels);
      const bool used = o.kind != Kind::reduce && o.target >= 0 && o.level <= level &&
                        needed[static_cast<size_t>(o.target)];
      if (!root && !used) continue;
      chunk.push_back(static_cast<int32_t>(n));
      for (int32_t reg : {o.a, o.b, o.c})
        if (reg >= 0) needed[static_cast<size_t>(reg)] = true;
    }
    std::reverse(rows.begin(), rows.end());
    std::reverse(chunk.begin(), chunk.end());
    row_phases_.push_back(std::move(rows));
    chunk_phases_.push_back(std::move(chunk));
  }
}

// A result that is stored as it is gets the output's memory, and the store falls away.
void RegionProgram::store_directly() {
  for (size_t n = 0; n < operations_.size(); ++n) {
    const Operation& o = operations_[n];
    if (o.kind != Kind::store) continue;
    Register& r = registers_[static_cast<size_t>(o.a)];
    const Tensor& out = out_[static_cast<size_t>(o.operand) - in_.size()];
    if (!lies_as_in_register(out.dtype) || r.memory >= 0 || r.invariant) continue;
    if (!o.boxes[0][0].contiguous() || !o.boxes[1][0].contiguous()) continue;
    if (streams(out)) continue;
    r.memory = static_cast<int32_t>(n);
    std::erase(chunk_phases_[0], static_cast<int32_t>(n));
  }
}

int64_t RegionProgram::register_bytes(const Register& r) const {
  return align(rows_.size() * (r.row ? 1 : chunks_.size()) * lane_bytes(r.lane));
}

// Registers whose use has ended give their bytes to later ones; with several phases none does.
void RegionProgram::allocate() {
  bytes_ = align(static_cast<int64_t>(operations_.size() * sizeof(char*)));
  std::vector<size_t> last(registers_.size(), 0);
  for (size_t n = 0; n < operations_.size(); ++n)
    for (int32_t reg :
         {operations_[n].target, operations_[n].a, operations_[n].b, operations_[n].c})
      if (reg >= 0) last[static_cast<size_t>(reg)] = n;
  const bool reuse = chunk_phases_.size() == 1;
  std::vector<std::pair<int64_t, int64_t>> open;  // bytes, offset
  for (size_t n = 0; n < operations_.size(); ++n) {
    const Operation& o = operations_[n];
    auto give_back = [&](int32_t reg) {
      if (reg < 0 || last[static_cast<size_t>(reg)] != n || !reuse) return;
      Register& r = registers_[static_cast<size_t>(reg)];
      if (r.offset < 0 || r.invariant || r.memory >= 0) return;
      open.emplace_back(register_bytes(r), r.offset);
      last[static_cast<size_t>(reg)] = SIZE_MAX;
    };
    // The target may take an operand's bytes only where loops allow it: equal element sizes.
    const bool in_place = o.kind == Kind::compute || o.kind == Kind::convert;
    if (in_place && o.target >= 0 && o.kind == Kind::compute) {
      for (int32_t reg : {o.a, o.b, o.c})
        if (reg >= 0 && lane_bytes(registers_[static_cast<size_t>(reg)].lane) ==
                            lane_bytes(registers_[static_cast<size_t>(o.target)].lane))
          give_back(reg);
    }
    if (o.target >= 0) {
      Register& r = registers_[static_cast<size_t>(o.target)];
      if (r.offset < 0 && r.memory < 0) {
        const int64_t wanted = register_bytes(r);
        auto found = std::find_if(open.begin(), open.end(),
                                  [&](const auto& free) { return free.first == wanted; });
        if (!r.invariant && found != open.end()) {
          r.offset = found->second;
          open.erase(found);
        } else {
          r.offset = bytes_;
          bytes_ += wanted;
        }
      }
    }
    for (int32_t reg : {o.a, o.b, o.c, o.target}) give_back(reg);
  }
}

}  // namespace tutti
