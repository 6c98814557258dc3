// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>

#include "compile/layout.h"
#include "compile/memory.h"
#include "compile/pass.h"
#include "ops/collectives.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/implementation.h"
#include "ops/scatter.h"
#include "ops/view_layout.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Memory that values live in: a block of the arena that is being planned, or a fixed place.
struct Buffer {
  Place place = Place::arena;
  int32_t index = 0;
  int64_t bytes = 0;
  int first = INT32_MAX, last = -1;  // steps that touch it; arena and held only
};

// Where a value is: strides over a buffer.
struct Location {
  int32_t buffer = kNone;
  int64_t offset = 0;  // in elements
  Dims shape, strides;
};

bool works_in_place(const Op& op) { return op.as<IndexPut>() || op.as<SliceUpdate>(); }

// Turns nodes into steps. Results that must end at a certain place (a part of a concatenation, an
// output of the caller, a resident that is updated) are computed there where their producer allows.
class Placer {
 public:
  explicit Placer(Compilation& c)
      : f_(c.function),
        program_(c.program),
        locations_(f_.values.size()),
        held_(f_.values.size()),
        users_(single_users(f_)) {
    options_ = &c.options;
  }

  Plan place() {
    add_ports();
    mark_held();
    place_fixed();
    choose_targets();
    for (size_t n = 0; n < f_.nodes.size(); ++n) place_node(n);
    finish_outputs();
    finish_updates();
    assign_offsets();
    return std::move(plan_);
  }

 private:
  struct Draft {  // a step whose operands are not yet bytes
    Step step;
    std::vector<Location> in, out;
    std::vector<DType> in_types, out_types;
  };

  Location& location(ValueId id) { return locations_[static_cast<size_t>(id)]; }
  bool placed(ValueId id) { return location(id).buffer != kNone; }

  int32_t add_buffer(Buffer buffer) {
    buffers_.push_back(buffer);
    return static_cast<int32_t>(buffers_.size()) - 1;
  }

  Location contiguous(int32_t buffer, const Dims& shape) {
    return {buffer, 0, shape, contiguous_strides(shape)};
  }

  void add_ports() {
    for (ValueId id : f_.inputs) {
      const Value& value = f_.value(id);
      const auto& names = options_->held;
      const bool held = std::find(names.begin(), names.end(), value.name) != names.end();
      plan_.inputs.push_back({value.name, value.type.dtype, constant_dims(value.type.shape), held});
    }
    for (const Output& output : f_.outputs) {
      Port port{output.name};
      port.present = output.value != kNone;
      if (port.present) {
        port.dtype = f_.type(output.value).dtype;
        port.shape = constant_dims(f_.type(output.value).shape);
      }
      plan_.outputs.push_back(port);
    }
  }

  // A node belongs to `prepare` when all it needs is held inputs, weights and constants, and at
  // least one held input.
  void mark_held() {
    std::vector<bool> fixed(f_.values.size());
    for (size_t i = 0; i < f_.inputs.size(); ++i)
      held_[static_cast<size_t>(f_.inputs[i])] = plan_.inputs[i].held;
    for (size_t i = 0; i < f_.values.size(); ++i) {
      const ResidentId r = f_.values[i].resident;
      fixed[i] = r != kNone &&
                 program_.graph.residents[static_cast<size_t>(r)].kind != Resident::Kind::carried;
    }
    for (const Node& node : f_.nodes) {
      bool any = false, all = true;
      for (ValueId id : node.inputs) {
        any = any || held_[static_cast<size_t>(id)];
        all = all && (held_[static_cast<size_t>(id)] || fixed[static_cast<size_t>(id)]);
      }
      // Ranks would differ in when they prepare.
      if (runs_on_ranks(node.op)) any = all = false;
      for (ValueId id : node.outputs) {
        held_[static_cast<size_t>(id)] = any && all;
        fixed[static_cast<size_t>(id)] = !any && all;
      }
    }
    hold_what_is_needed(fixed);
  }

  // What is the same in every run, such as a number, comes to `prepare` where that needs it.
  void hold_what_is_needed(const std::vector<bool>& fixed) {
    for (size_t n = f_.nodes.size(); n-- > 0;) {
      const Node& node = f_.nodes[n];
      if (node.outputs.empty() || !held_[static_cast<size_t>(node.outputs[0])]) continue;
      for (const ValueId id : node.inputs) {
        const Node* needed = f_.producer(id);
        if (needed == nullptr || !fixed[static_cast<size_t>(id)]) continue;
        for (const ValueId out : needed->outputs) held_[static_cast<size_t>(out)] = true;
      }
    }
  }

  void place_fixed() {
    for (size_t i = 0; i < f_.inputs.size(); ++i)
      location(f_.inputs[i]) =
          contiguous(add_buffer({Place::input, static_cast<int32_t>(i)}), plan_.inputs[i].shape);
    for (size_t i = 0; i < f_.values.size(); ++i) {
      const ResidentId resident = f_.values[i].resident;
      if (resident == kNone) continue;
      const Resident& r = program_.graph.residents[static_cast<size_t>(resident)];
      Location& at = locations_[i];
      at = contiguous(add_buffer({Place::resident, resident}),
                      constant_dims(f_.values[i].type.shape));
      if (r.kind == Resident::Kind::bound && r.data.data != nullptr) at.strides = r.data.strides;
    }
  }

  // Asks that `id` be computed at `at`; goes back through views to the node that computes it.
  void request(ValueId id, Location at) {
    const Node* node = f_.producer(id);
    while (node != nullptr && is_view(node->op)) {
      if (target_[static_cast<size_t>(id)].buffer != kNone) return;
      const ValueId source = node->inputs[0];
      const Dims shape = constant_dims(f_.type(source).shape);
      std::optional<Dims> strides;
      if (const auto* permute = node->op.as<Permute>()) {
        strides = Dims::filled(shape.rank(), 0);
        for (size_t i = 0; i < permute->axes.size(); ++i)
          (*strides)[static_cast<int>(permute->axes[i])] = at.strides[static_cast<int>(i)];
      } else if (node->op.as<Reshape>()) {
        strides = reshape_strides(at.shape, at.strides, shape);
      }
      if (!strides) return;
      at = {at.buffer, at.offset, shape, *strides};
      id = source;
      node = f_.producer(id);
    }
    if (node == nullptr || node->op.as<Constant>()) return;
    if (held_[static_cast<size_t>(id)] &&
        buffers_[static_cast<size_t>(at.buffer)].place != Place::held)
      return;
    Location& target = target_[static_cast<size_t>(id)];
    if (target.buffer == kNone) target = at;
  }

  void choose_targets() {
    target_.resize(f_.values.size());
    for (const Update& update : f_.updates) request_update(update);
    for (size_t i = 0; i < f_.outputs.size(); ++i) {
      if (f_.outputs[i].value == kNone) continue;
      request(f_.outputs[i].value, contiguous(add_buffer({Place::output, static_cast<int32_t>(i)}),
                                              plan_.outputs[i].shape));
    }
    for (size_t n = f_.nodes.size(); n-- > 0;)
      if (f_.nodes[n].op.as<Concat>()) request_parts(f_.nodes[n]);
  }

  // In place when the node that makes the new content is the last to read the old one.
  void request_update(const Update& update) {
    const Node* node = f_.producer(update.value);
    if (node == nullptr || !works_in_place(node->op)) return;
    const Value& old = f_.value(node->inputs[0]);
    if (old.resident != update.resident) return;
    const auto at = static_cast<size_t>(node - f_.nodes.data());
    for (size_t n = 0; n < f_.nodes.size(); ++n) {
      for (size_t i = 0; i < f_.nodes[n].inputs.size(); ++i) {
        const ValueId id = f_.nodes[n].inputs[i];
        if (root(id) != node->inputs[0] || (n == at && i == 0)) continue;
        if (n >= at || is_view(f_.nodes[n].op)) return;
      }
    }
    for (const Output& output : f_.outputs)
      if (output.value != kNone && root(output.value) == node->inputs[0]) return;
    for (const Update& other : f_.updates)
      if (root(other.value) == node->inputs[0]) return;
    target_[static_cast<size_t>(update.value)] = location(node->inputs[0]);
  }

  ValueId root(ValueId id) const {
    for (const Node* node = f_.producer(id); node != nullptr && is_view(node->op);
         node = f_.producer(id))
      id = node->inputs[0];
    return id;
  }

  // Gives a concatenation its memory early, so that its parts can be computed in it.
  void request_parts(const Node& node) {
    const ValueId out = node.outputs[0];
    const Dims shape = constant_dims(f_.type(out).shape);
    Location& whole = target_[static_cast<size_t>(out)];
    if (whole.buffer == kNone) whole = contiguous(new_block(out), shape);
    const int axis = static_cast<int>(node.op.as<Concat>()->axis);
    int64_t start = 0;
    for (ValueId id : node.inputs) {
      Location part = whole;
      part.shape[axis] = constant_dims(f_.type(id).shape)[axis];
      part.offset += start * whole.strides[axis];
      start += part.shape[axis];
      request(id, part);
    }
  }

  int32_t new_block(ValueId id) {
    const TensorType& type = f_.type(id);
    const bool held = held_[static_cast<size_t>(id)];
    return add_buffer(
        {held ? Place::held : Place::arena, 0,
         elements(constant_dims(type.shape)) * static_cast<int64_t>(size_of(type.dtype))});
  }

  void place_node(size_t n) {
    const Node& node = f_.nodes[n];
    if (const auto* constant = node.op.as<Constant>()) {
      const auto index = static_cast<int32_t>(plan_.constants.size());
      plan_.constants.push_back(tutti::contiguous(constant->value));
      location(node.outputs[0]) =
          contiguous(add_buffer({Place::constant, index}), constant->value.shape);
      return;
    }
    if (is_view(node.op) && place_view(node)) return;
    if (node.op.as<Concat>()) {
      place_concat(node);
      return;
    }
    const bool collective = is_collective(node.op);
    for (ValueId id : node.outputs) location(id) = output_location(id, collective);
    std::vector<Location> in, out;
    std::vector<DType> in_types, out_types;
    for (ValueId id : node.inputs) {
      in.push_back(collective ? dense(id, node.scope) : location(id));
      in_types.push_back(f_.type(id).dtype);
    }
    for (ValueId id : node.outputs) {
      out.push_back(location(id));
      out_types.push_back(f_.type(id).dtype);
    }
    const bool held = !node.outputs.empty() && held_[static_cast<size_t>(node.outputs[0])];
    add_step(node.op, node.scope, held, in, in_types, out, out_types);
  }

  // Where a node computes a value: where it is asked to be, unless that has gaps and may not.
  Location output_location(ValueId id, bool dense) {
    const Location& target = target_[static_cast<size_t>(id)];
    if (target.buffer != kNone && (!dense || is_dense(target))) return target;
    const Dims shape = constant_dims(f_.type(id).shape);
    return {new_block(id), 0, shape,
            dense ? contiguous_strides(shape) : preferred_strides(f_, users_, id)};
  }

  static bool is_dense(const Location& at) {
    return Tensor{nullptr, DType::u8, at.shape, at.strides, nullptr}.is_contiguous();
  }

  // A value without gaps: where it is, or a copy.
  Location dense(ValueId id, const std::string& scope) {
    if (is_dense(location(id))) return location(id);
    const Location copied = contiguous(new_block(id), location(id).shape);
    copy(id, copied, scope);
    return copied;
  }

  bool place_view(const Node& node) {
    const Location& source = location(node.inputs[0]);
    const auto view = view_layout(node.op, source.shape, source.strides);
    if (!view) return false;
    location(node.outputs[0]) = {source.buffer, source.offset + view->offset, view->shape,
                                 view->strides};
    return true;
  }

  void place_concat(const Node& node) {
    const ValueId out = node.outputs[0];
    location(out) = target_[static_cast<size_t>(out)];
    const Location whole = location(out);
    const int axis = static_cast<int>(node.op.as<Concat>()->axis);
    int64_t start = 0;
    for (ValueId id : node.inputs) {
      Location part = whole;
      part.shape[axis] = location(id).shape[axis];
      part.offset += start * whole.strides[axis];
      start += part.shape[axis];
      copy(id, part, node.scope);
    }
  }

  static bool is_same(const Location& a, const Location& b) {
    bool same = a.buffer == b.buffer && a.offset == b.offset;
    for (int axis = 0; axis < a.shape.rank(); ++axis)
      same = same && (a.shape[axis] == 1 || a.strides[axis] == b.strides[axis]);
    return same;
  }

  // Copies a value to a location unless it is there.
  void copy(ValueId id, const Location& to, const std::string& scope) {
    const Location& from = location(id);
    if (is_same(from, to)) return;
    const DType dtype = f_.type(id).dtype;
    const bool held = buffers_[static_cast<size_t>(to.buffer)].place == Place::held;
    add_step(Cast{dtype}, scope, held, {from}, {dtype}, {to}, {dtype});
  }

  void finish_outputs() {
    for (size_t i = 0; i < f_.outputs.size(); ++i) {
      if (f_.outputs[i].value == kNone) continue;
      for (size_t b = 0; b < buffers_.size(); ++b)
        if (buffers_[b].place == Place::output && buffers_[b].index == static_cast<int32_t>(i))
          copy(f_.outputs[i].value, contiguous(static_cast<int32_t>(b), plan_.outputs[i].shape),
               f_.outputs[i].name);
    }
  }

  // New content that could not be computed in place is copied at the end. What lies in a resident
  // itself is saved first, since its own copy or those before it may overwrite it.
  void finish_updates() {
    for (const Update& update : f_.updates) {
      Location& source = location(update.value);
      const Location own = resident_location(update);
      const bool in_resident =
          buffers_[static_cast<size_t>(source.buffer)].place == Place::resident;
      if (in_resident && !is_same(source, own)) {
        const Location saved = contiguous(new_block(update.value), source.shape);
        copy(update.value, saved, {});
        source = saved;
      }
    }
    for (const Update& update : f_.updates)
      copy(update.value, resident_location(update),
           program_.graph.residents[static_cast<size_t>(update.resident)].name);
  }

  Location resident_location(const Update& update) {
    const Dims shape = constant_dims(f_.type(update.value).shape);
    for (size_t b = 0; b < buffers_.size(); ++b)
      if (buffers_[b].place == Place::resident && buffers_[b].index == update.resident)
        return contiguous(static_cast<int32_t>(b), shape);
    return contiguous(add_buffer({Place::resident, update.resident}), shape);
  }

  void add_step(const Op& op, const std::string& scope, bool held, const std::vector<Location>& in,
                const std::vector<DType>& in_types, const std::vector<Location>& out,
                const std::vector<DType>& out_types) {
    std::vector<Draft>& list = held ? prepare_ : run_;
    const int at = held ? -1 : static_cast<int>(list.size());
    for (const auto* side : {&in, &out}) {
      for (const Location& location : *side) {
        Buffer& buffer = buffers_[static_cast<size_t>(location.buffer)];
        buffer.first = std::min(buffer.first, at);
        buffer.last = std::max(buffer.last, at);
      }
    }
    list.push_back({Step{op, {}, {}, {}, scope}, in, out, in_types, out_types});
  }

  // A collective runs beside the steps after it until one touches its result: its buffers stay. A
  // send, which has none, until the result of the collective after it is touched.
  void keep_running_buffers() {
    auto end = static_cast<int>(run_.size());
    for (size_t i = run_.size(); i-- > 0;) {
      if (!is_collective(run_[i].step.op)) continue;
      if (!run_[i].out.empty()) end = static_cast<int>(run_.size());
      for (const Location& out : run_[i].out) end = std::min(end, next_use(out.buffer, i + 1));
      for (const auto* side : {&run_[i].in, &run_[i].out})
        for (const Location& at : *side) {
          Buffer& buffer = buffers_[static_cast<size_t>(at.buffer)];
          buffer.last = std::max(buffer.last, end);
        }
    }
  }

  int next_use(int32_t buffer, size_t from) const {
    for (size_t i = from; i < run_.size(); ++i)
      for (const auto* side : {&run_[i].in, &run_[i].out})
        for (const Location& at : *side)
          if (at.buffer == buffer) return static_cast<int>(i);
    return static_cast<int>(run_.size());
  }

  void assign_offsets() {
    keep_running_buffers();
    std::vector<Lifetime> blocks;
    std::vector<size_t> arena;
    for (size_t b = 0; b < buffers_.size(); ++b) {
      Buffer& buffer = buffers_[b];
      if (buffer.place == Place::held) {
        held_offsets_[b] = plan_.held_bytes;
        plan_.held_bytes += (buffer.bytes + 63) / 64 * 64;
      } else if (buffer.place == Place::arena && buffer.last >= 0) {
        arena.push_back(b);
        blocks.push_back({buffer.bytes, buffer.first, buffer.last});
      }
    }
    const ArenaLayout layout = lay_out_arena(blocks);
    plan_.arena_bytes = layout.total;
    for (size_t i = 0; i < arena.size(); ++i) held_offsets_[arena[i]] = layout.offsets[i];
    for (Draft& draft : prepare_) plan_.prepare.push_back(finish(draft));
    for (Draft& draft : run_) plan_.run.push_back(finish(draft));
  }

  Step finish(Draft& draft) {
    for (size_t i = 0; i < draft.in.size(); ++i)
      draft.step.in.push_back(operand(draft.in[i], draft.in_types[i]));
    for (size_t i = 0; i < draft.out.size(); ++i)
      draft.step.out.push_back(operand(draft.out[i], draft.out_types[i]));
    return std::move(draft.step);
  }

  Operand operand(const Location& at, DType dtype) {
    const Buffer& buffer = buffers_[static_cast<size_t>(at.buffer)];
    const auto base = held_offsets_.find(static_cast<size_t>(at.buffer));
    const int64_t start = base == held_offsets_.end() ? 0 : base->second;
    return {buffer.place, buffer.index, start + at.offset * static_cast<int64_t>(size_of(dtype)),
            dtype,        at.shape,     at.strides};
  }

  Function& f_;
  Program& program_;
  const CompileOptions* options_;
  std::vector<Location> locations_;  // by value
  std::vector<Location> target_;     // by value: where it is asked to be
  std::vector<bool> held_;           // by value: computed in `prepare`
  std::vector<int32_t> users_;       // by value: see single_users
  std::vector<Buffer> buffers_;
  std::map<size_t, int64_t> held_offsets_;  // by buffer: start in the arena or the held memory
  std::vector<Draft> prepare_, run_;
  Plan plan_;
};

}  // namespace

Plan place(Compilation& c) { return Placer(c).place(); }

}  // namespace tutti
