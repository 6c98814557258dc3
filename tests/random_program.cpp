// SPDX-License-Identifier: Apache-2.0
#include "random_program.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace tutti {
namespace {

constexpr double kSmall = 9;  // elements that instructions go on with

// The largest integer up to which a type has all.
double most(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return 1;
    case DType::i8:
      return 127;
    case DType::bf16:
      return 256;
    case DType::f16:
      return 2048;
    case DType::i16:
      return 32767;
    default:
      return 1 << 24;
  }
}

double modulo(double x) { return x - 7 * std::floor(x / 7) - 3; }

Extents extents(const Plain::Shape& shape) { return {shape.begin(), shape.end()}; }

}  // namespace

RandomProgram::RandomProgram(unsigned seed) : random_(seed), ranks_(pick(2, 5)) {
  const auto n = static_cast<size_t>(ranks_);
  groups_.resize(n);
  constexpr size_t kStates = 2;
  for (size_t i = 0; i < kInputs + kStates; ++i)
    values_.push_back({random_dtype(), std::vector(n, random_shape()), 0});
  // One state is like the first input, so that much fits it.
  values_[kInputs].dtype = values_[0].dtype;
  values_[kInputs].shapes = values_[0].shapes;
  for (Value& value : values_) value.largest = value.dtype == DType::boolean ? 1 : 3;
  for (size_t s = 0; s < kStates; ++s) {
    OnRanks& first = first_states_.emplace_back();
    const Value& value = values_[kInputs + s];
    for (size_t r = 0; r < n; ++r) first.push_back(random_plain(value.shape(), value.largest));
  }
  states_ = first_states_;
  for (int i = pick(6, 20); i > 0; --i) {
    using Make = void (RandomProgram::*)();
    static constexpr Make kLocal[] = {&RandomProgram::unary,    &RandomProgram::binary,
                                      &RandomProgram::convert,  &RandomProgram::permute,
                                      &RandomProgram::reshape,  &RandomProgram::cut,
                                      &RandomProgram::join,     &RandomProgram::overwrite,
                                      &RandomProgram::sum_axis, &RandomProgram::multiply};
    if (chance(2))
      RandomCollectives(*this).add();
    else
      (this->*kLocal[pick(0, std::size(kLocal) - 1)])();
  }
  finish();
}

void RandomProgram::finish() {
  for (int i = 0; i < 4; ++i)
    outputs_.push_back(i == 0 ? values_.size() - 1
                              : static_cast<size_t>(pick(0, static_cast<int>(values_.size()) - 1)));
  for (size_t s = 0; s < states_.size(); ++s) {
    const Value& state = values_[kInputs + s];
    std::vector<size_t> fit;
    for (size_t v = 0; v < values_.size(); ++v)
      if (values_[v].dtype == state.dtype && values_[v].shapes == state.shapes &&
          values_[v].largest <= state.largest)
        fit.push_back(v);
    // The newest often: more depends on it.
    updates_.push_back(chance(2)
                           ? fit.back()
                           : fit[static_cast<size_t>(pick(0, static_cast<int>(fit.size()) - 1))]);
  }
}

GraphBuilder RandomProgram::build(int rank) const {
  const auto r = static_cast<size_t>(rank);
  GraphBuilder graph;
  std::vector<Expression> values;
  for (size_t i = 0; i < kInputs; ++i)
    values.push_back(graph.input(input_name(i), values_[i].dtype, extents(values_[i].shape())));
  for (size_t s = 0; s < states_.size(); ++s)
    values.push_back(graph.state("s" + std::to_string(s),
                                 to_tensor(first_states_[s][r], values_[kInputs + s].dtype)));
  for (const Instruction& instruction : instructions_) {
    std::vector<Expression> operands;
    for (const size_t id : instruction.operands) operands.push_back(values[id]);
    graph.set_scope("v" + std::to_string(values.size()));
    values.push_back(instruction.emit(graph, operands, rank));
  }
  for (size_t o = 0; o < outputs_.size(); ++o)
    graph.output("y" + std::to_string(o), values[outputs_[o]]);
  for (size_t s = 0; s < updates_.size(); ++s)
    if (updates_[s] != kInputs + s) graph.update(values[kInputs + s], values[updates_[s]]);
  return graph;
}

RunInputs RandomProgram::next_inputs() {
  const bool first = inputs_.empty();
  inputs_.resize(kInputs);
  for (size_t i = 0; i < kInputs; ++i) {
    inputs_[i].resize(static_cast<size_t>(ranks_));
    for (Plain& x : inputs_[i])
      if (first || i + 1 < kInputs || chance(3))
        x = random_plain(values_[i].shape(), values_[i].largest);
  }
  return inputs_;
}

std::vector<OnRanks> RandomProgram::simulate(const RunInputs& inputs) {
  std::vector<OnRanks> values = inputs;
  values.insert(values.end(), states_.begin(), states_.end());
  for (const Instruction& instruction : instructions_) {
    std::vector<OnRanks> operands;
    for (const size_t id : instruction.operands) operands.push_back(values[id]);
    values.push_back(instruction.simulate(operands));
  }
  for (size_t s = 0; s < states_.size(); ++s) states_[s] = values[updates_[s]];
  std::vector<OnRanks> outputs;
  for (const size_t id : outputs_) outputs.push_back(values[id]);
  return outputs;
}

Plain RandomProgram::random_plain(const Plain::Shape& shape, double largest) {
  const int high = static_cast<int>(largest);
  return map(Plain(shape, 0), [&](double) { return pick(high == 1 ? 0 : -high, high); });
}

DType RandomProgram::random_dtype() {
  static constexpr DType kTypes[] = {DType::f32, DType::f32, DType::f32,  DType::f32,
                                     DType::f64, DType::f16, DType::bf16, DType::i64,
                                     DType::i32, DType::i16, DType::i8,   DType::boolean};
  return kTypes[pick(0, std::size(kTypes) - 1)];
}

Plain::Shape RandomProgram::random_shape() {
  const int64_t n = ranks_;
  const int64_t choices[] = {n, n, 2 * n, 4, 4, 6, 3, 2, 1};
  Plain::Shape shape;
  for (int i = pick(1, 3); i > 0; --i) shape.push_back(choices[pick(0, std::size(choices) - 1)]);
  return shape;
}

size_t RandomProgram::any(bool even) {
  std::vector<size_t> fit;
  for (size_t v = 0; v < values_.size(); ++v)
    if (values_[v].largest <= kSmall && (!even || values_[v].even())) fit.push_back(v);
  const int last = static_cast<int>(fit.size()) - 1;
  return fit[static_cast<size_t>(pick(chance(3) ? 0 : std::max(0, last - 5), last))];
}

size_t RandomProgram::any_like(size_t x) {
  std::vector<size_t> fit;
  for (size_t v = 0; v < values_.size(); ++v)
    if (values_[v].dtype == values_[x].dtype && values_[v].shapes == values_[x].shapes &&
        values_[v].largest <= kSmall)
      fit.push_back(v);
  if (fit.size() > 1) return fit[static_cast<size_t>(pick(0, static_cast<int>(fit.size()) - 1))];
  return fixed(values_[x].dtype, values_[x].shape());
}

// A weight, or a constant of the program; other on each rank.
size_t RandomProgram::fixed(DType dtype, const Plain::Shape& shape) {
  const auto n = static_cast<size_t>(ranks_);
  const double largest = dtype == DType::boolean ? 1 : 2;
  OnRanks content;
  for (size_t r = 0; r < n; ++r) content.push_back(random_plain(shape, largest));
  const std::string name = chance(2) ? "w" + std::to_string(values_.size()) : "";
  add({dtype, std::vector(n, shape), largest},
      {{},
       [=](GraphBuilder& graph, const auto&, int rank) {
         const Tensor value = to_tensor(content[static_cast<size_t>(rank)], dtype);
         return name.empty() ? graph.constant(value) : graph.weight(name, value);
       },
       [=](const auto&) { return content; }});
  return values_.size() - 1;
}

void RandomProgram::add(Value value, Instruction instruction) {
  constexpr int64_t kMostElements = 1500;
  for (const Plain::Shape& shape : value.shapes)
    if (Plain(shape, 0).size() > kMostElements) return;
  if (value.largest > most(value.dtype)) return;
  const bool large = value.largest > kSmall;
  values_.push_back(value);
  instructions_.push_back(std::move(instruction));
  if (!large) return;
  value.largest = 3;
  add_on_each(
      std::move(value), {values_.size() - 1},
      [=](const auto& x) {
        return operation("remainder", {x[0], x[0].constant_like(7)}) - 3;
      },
      [](const auto& x) { return map(x[0], modulo); });
}

void RandomProgram::add_on_each(Value value, std::vector<size_t> operands,
                                std::function<Expression(const std::vector<Expression>&)> emit,
                                std::function<Plain(const std::vector<Plain>&)> simulate) {
  add(std::move(value),
      {std::move(operands), [=](GraphBuilder&, const auto& x, int) { return emit(x); },
       [=](const std::vector<OnRanks>& x) {
         OnRanks y;
         for (size_t r = 0; r < x[0].size(); ++r) {
           std::vector<Plain> own;
           for (const OnRanks& operand : x) own.push_back(operand[r]);
           y.push_back(simulate(own));
         }
         return y;
       }});
}

void RandomProgram::unary() {
  const size_t id = any(false);
  Value y = values_[id];
  if (y.dtype == DType::boolean)
    return add_on_each(
        y, {id}, [](const auto& x) { return operation("logical_not", {x[0]}); },
        [](const auto& x) { return map(x[0], [](double v) { return v == 0; }); });
  switch (pick(0, 3)) {
    case 0:
      return add_on_each(
          y, {id}, [](const auto& x) { return -x[0]; },
          [](const auto& x) { return map(x[0], [](double v) { return 0 - v; }); });
    case 1:
      return add_on_each(
          y, {id}, [](const auto& x) { return operation("abs", {x[0]}); },
          [](const auto& x) { return map(x[0], [](double v) { return std::abs(v); }); });
    case 2:
      return add_on_each(
          y, {id}, [](const auto& x) { return relu(x[0]); },
          [](const auto& x) { return map(x[0], [](double v) { return std::max(v, 0.0); }); });
    default:
      y.largest += 2;
      return add_on_each(
          y, {id}, [](const auto& x) { return x[0] + 2; },
          [](const auto& x) { return map(x[0], [](double v) { return v + 2; }); });
  }
}

void RandomProgram::binary() {
  const size_t a = any(), b = any_like(a);
  Value y = values_[a];
  const bool logical = y.dtype == DType::boolean;
  if (chance(2)) {
    if (!logical) y.largest += values_[b].largest;
    return add_on_each(
        y, {a, b}, [](const auto& x) { return x[0] + x[1]; },
        [=](const auto& x) {
          return zip(x[0], x[1],
                     [&](double v, double w) { return logical ? std::max(v, w) : v + w; });
        });
  }
  y.largest *= values_[b].largest;
  add_on_each(
      y, {a, b}, [](const auto& x) { return x[0] * x[1]; },
      [](const auto& x) { return zip(x[0], x[1], [](double v, double w) { return v * w; }); });
}

void RandomProgram::convert() {
  const size_t id = any();
  Value y = values_[id];
  y.dtype = random_dtype();
  const bool logical = y.dtype == DType::boolean;
  if (logical) y.largest = 1;
  add_on_each(
      y, {id}, [dtype = y.dtype](const auto& x) { return cast(x[0], dtype); },
      [=](const auto& x) { return logical ? map(x[0], [](double v) { return v != 0; }) : x[0]; });
}

void RandomProgram::permute() {
  const size_t id = any();
  Value y = values_[id];
  std::vector<int64_t> axes(y.shape().size());
  std::iota(axes.begin(), axes.end(), 0);
  std::shuffle(axes.begin(), axes.end(), random_);
  Plain::Shape shape;
  for (const int64_t axis : axes) shape.push_back(y.extent(static_cast<size_t>(axis)));
  y.shapes.assign(y.shapes.size(), shape);
  add_on_each(
      y, {id}, [=](const auto& x) { return tutti::permute(x[0], axes); },
      [=](const auto& x) { return permuted(x[0], axes); });
}

// Joins two axes, or splits one.
void RandomProgram::reshape() {
  const size_t id = any();
  Value y = values_[id];
  Plain::Shape shape = y.shape();
  const size_t axis = axis_of(y);
  if (axis + 1 < shape.size()) {
    shape[axis + 1] *= shape[axis];
    shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  } else {
    const int64_t divisor = shape[axis] % ranks_ == 0 ? ranks_ : 1;
    shape[axis] /= divisor;
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), divisor);
  }
  y.shapes.assign(y.shapes.size(), shape);
  add_on_each(
      y, {id}, [=](const auto& x) { return tutti::reshape(x[0], extents(shape)); },
      [=](const auto& x) {
        Plain same = x[0];
        same.shape = shape;
        return same;
      });
}

void RandomProgram::cut() {
  const size_t id = any();
  Value y = values_[id];
  const size_t axis = axis_of(y);
  const int extent = static_cast<int>(y.extent(axis));
  const int64_t start = pick(0, extent - 1), count = pick(1, extent - static_cast<int>(start));
  for (Plain::Shape& shape : y.shapes) shape[axis] = count;
  add_on_each(
      y, {id}, [=](const auto& x) { return slice(x[0], static_cast<int64_t>(axis), start, count); },
      [=](const auto& x) { return part_of(x[0], axis, start, count); });
}

void RandomProgram::join() {
  const size_t a = any(), b = any_like(a);
  Value y = values_[a];
  const size_t axis = axis_of(y);
  for (Plain::Shape& shape : y.shapes) shape[axis] *= 2;
  y.largest = std::max(y.largest, values_[b].largest);
  add_on_each(
      y, {a, b},
      [=](const auto& x) {
        return concat({x[0], x[1]}, static_cast<int64_t>(axis));
      },
      [=](const auto& x) {
        return joined({x[0], x[1]}, axis);
      });
}

// A part of one value in the place of that of another.
void RandomProgram::overwrite() {
  const size_t a = chance(2) ? kInputs : any(), b = any_like(a);
  Value y = values_[a];
  const size_t axis = axis_of(y);
  const int extent = static_cast<int>(y.extent(axis));
  const int64_t start = pick(0, extent - 1), count = pick(1, extent - static_cast<int>(start));
  y.largest = std::max(y.largest, values_[b].largest);
  add_on_each(
      y, {a, b},
      [=](const auto& x) {
        const auto k = static_cast<int64_t>(axis);
        return operation("slice_update", {x[0], slice(x[1], k, start, count)},
                         {{"axis", k}, {"start", Extent(start)}});
      },
      [=](const auto& x) {
        return with_part(x[0], axis, start, part_of(x[1], axis, start, count));
      });
}

void RandomProgram::sum_axis() {
  const size_t id = any(false);
  Value y = values_[id];
  if (!is_float(y.dtype)) return;
  // Where ranks differ in an axis, that one goes.
  size_t axis = axis_of(y);
  for (size_t k = 0; k < y.shape().size(); ++k)
    for (const Plain::Shape& shape : y.shapes)
      if (shape[k] != y.extent(k)) axis = k;
  int64_t longest = 0;
  for (Plain::Shape& shape : y.shapes) longest = std::max(longest, std::exchange(shape[axis], 1));
  y.largest *= static_cast<double>(longest);
  add_on_each(
      y, {id}, [=](const auto& x) { return sum(x[0], {static_cast<int64_t>(axis)}, true); },
      [=](const auto& x) { return summed(x[0], axis); });
}

void RandomProgram::multiply() {
  const size_t id = any();
  Value y = values_[id];
  if (!is_float(y.dtype) || y.shape().size() < 2 || y.shape().back() > 30) return;
  const int64_t k = y.shape().back(), n = chance(2) ? k : ranks_;
  const size_t w = fixed(y.dtype, {k, n});
  for (Plain::Shape& shape : y.shapes) shape.back() = n;
  y.largest *= values_[w].largest * static_cast<double>(k);
  add_on_each(
      y, {id, w}, [](const auto& x) { return matmul(x[0], x[1]); },
      [](const auto& x) { return product(x[0], x[1]); });
}

}  // namespace tutti
