// SPDX-License-Identifier: Apache-2.0
#include "plan/plan_check.h"

#include <algorithm>

#include "core/error.h"
#include "ops/collectives.h"
#include "ops/fused_matmul.h"
#include "plan/reach.h"
#include "shard/shard.h"

namespace tutti {
namespace {

constexpr int64_t kMaxMemory = int64_t{1} << 46;

std::string_view place_name(Place place) {
  static constexpr std::string_view kNames[] = {"arena",  "held memory", "input",
                                                "output", "resident",    "constant"};
  return kNames[static_cast<size_t>(place)];
}

// An operand or a port, in words.
std::string text(DType dtype, const Dims& shape) { return describe(dtype, shape); }

bool is_dense(const Operand& operand) {
  const Tensor layout{nullptr, operand.dtype, operand.shape, operand.strides, nullptr};
  return layout.is_contiguous();
}

class PlanChecker {
 public:
  PlanChecker(const Program& program, size_t index)
      : program_(program), plan_(program.plans[index]), here_(join("plan ", index)) {}

  void run() {
    const Function& function = program_.graph.function("run");
    check_symbols();
    check_inputs(function);
    check_outputs(function);
    for (int64_t bytes : {plan_.arena_bytes, plan_.held_bytes})
      require_argument(bytes >= 0 && bytes <= kMaxMemory, here_, ": memory of ", bytes,
                       " bytes; 0 to ", kMaxMemory, " is wanted");
    for (size_t i = 0; i < plan_.prepare.size(); ++i) check_step(plan_.prepare[i], "prepare", i);
    for (size_t i = 0; i < plan_.run.size(); ++i) check_step(plan_.run[i], "run", i);
  }

 private:
  void check_symbols() const {
    for (const auto& [name, value] : plan_.symbols) {
      const auto symbol = program_.graph.symbols.find(name);
      require_argument(symbol != program_.graph.symbols.end(), here_, ": symbol ", name,
                       " is not declared in the graph");
      require_argument(value >= symbol->second.min && value <= symbol->second.max, here_,
                       ": symbol ", name, " is ", value, "; ", symbol->second.min, " to ",
                       symbol->second.max, " is wanted");
    }
  }

  void check_port(const Port& port, const std::string& name, const TensorType& type,
                  std::string_view side) const {
    Dims shape;
    for (const Dim& dim : type.shape) shape.push_back(dim.evaluate(plan_.symbols));
    require_argument(port.name == name && port.dtype == type.dtype && port.shape == shape, here_,
                     ": ", side, " ", port.name, " is ", text(port.dtype, port.shape), "; ", name,
                     " ", text(type.dtype, shape), " is wanted");
    const auto bytes = dense_bytes(port.dtype, port.shape);
    require_argument(bytes && *bytes <= kMaxMemory, here_, ": ", side, " ", port.name, " is ",
                     text(port.dtype, port.shape), "; that fits no memory");
  }

  void check_inputs(const Function& function) const {
    require_argument(plan_.inputs.size() == function.inputs.size(), here_, ": ",
                     plan_.inputs.size(), " inputs; ", function.inputs.size(), " are wanted");
    for (size_t i = 0; i < plan_.inputs.size(); ++i) {
      const Value& value = function.value(function.inputs[i]);
      const Port& port = plan_.inputs[i];
      check_port(port, value.name, value.type, "input");
      const auto& held = program_.held;
      const bool is_held = std::find(held.begin(), held.end(), port.name) != held.end();
      require_argument(port.present && port.held == is_held, here_, ": input ", port.name,
                       " is marked held: ", port.held, ", present: ", port.present, "; ", is_held,
                       " and true are wanted");
    }
  }

  void check_outputs(const Function& function) const {
    require_argument(plan_.outputs.size() == function.outputs.size(), here_, ": ",
                     plan_.outputs.size(), " outputs; ", function.outputs.size(), " are wanted");
    for (size_t i = 0; i < plan_.outputs.size(); ++i) {
      const Output& output = function.outputs[i];
      const Port& port = plan_.outputs[i];
      require_argument(port.present == (output.value != kNone) && !port.held, here_, ": output ",
                       port.name, " is marked present: ", port.present, ", held: ", port.held, "; ",
                       output.value != kNone, " and false are wanted");
      if (port.present)
        check_port(port, output.name, function.type(output.value), "output");
      else
        require_argument(port.name == output.name, here_, ": output ", port.name, "; ", output.name,
                         " is wanted");
    }
  }

  void check_step(const Step& step, std::string_view list, size_t index) const {
    const std::string where = join(here_, ", step ", index, " of ", list, " (", step.op.name(),
                                   step.scope.empty() ? "" : ", ", step.scope, ")");
    std::vector<TensorType> in;
    for (size_t i = 0; i < step.in.size(); ++i) {
      const Operand& operand = step.in[i];
      check_operand(operand, [&] { return join(where, ": operand ", i); });
      in.push_back({operand.dtype, to_shape(operand.shape)});
    }
    const std::vector<TensorType> types = infer(step.op, in, where);
    require_argument(types.size() == step.out.size(), where, ": ", step.out.size(), " results; ",
                     types.size(), " are wanted");
    for (size_t i = 0; i < step.out.size(); ++i) {
      const Operand& operand = step.out[i];
      const auto name = [&] { return join(where, ": result ", i); };
      check_operand(operand, name);
      if (!(types[i] == TensorType{operand.dtype, to_shape(operand.shape)}))
        fail(Errc::invalid_argument, name(), " is ", text(operand.dtype, operand.shape), "; ",
             types[i], " is wanted");
      if (!may_write(operand))
        fail(Errc::invalid_argument, name(), " is in ", place_name(operand.place), " ",
             operand.index, ", which a step may not write");
    }
    check_packed(step, where);
    require_argument(!runs_on_ranks(step.op) || list == "run", where,
                     ": ranks would differ in when they prepare; a step of run is wanted");
    check_collective(step, where);
  }

  // Ranks exchange whole tensors along their first axis.
  void check_collective(const Step& step, const std::string& where) const {
    if (!is_collective(step.op)) return;
    for (const auto* side : {&step.in, &step.out})
      for (const Operand& operand : *side)
        require_argument(is_dense(operand), where, ": ", text(operand.dtype, operand.shape),
                         " has strides ", operand.strides, "; contiguous is wanted");
  }

  // Packed matrices are lists of elements, which kernels read and write without strides.
  void check_packed(const Step& step, const std::string& where) const {
    const auto* fused = step.op.as<FusedMatmul>();
    const bool reads = fused != nullptr && !fused->packed.empty();
    const bool writes = step.op.as<PackMatrix>() != nullptr;
    require_argument((!reads || is_dense(step.in[1])) && (!writes || is_dense(step.out[0])), where,
                     ": the packed matrix has gaps; a contiguous one is wanted");
  }

  static std::vector<TensorType> infer(const Op& op, Types in, const std::string& where) {
    try {
      return op.infer(in);
    } catch (const Error& error) {
      throw Error(error.code(), join(where, ": ", error.what()));
    }
  }

  bool may_write(const Operand& operand) const {
    switch (operand.place) {
      case Place::arena:
      case Place::held:
      case Place::output:
        return true;
      case Place::resident:
        return resident(operand).kind == Resident::Kind::carried;
      case Place::input:
      case Place::constant:
        return false;
    }
    return false;
  }

  const Resident& resident(const Operand& operand) const {
    return program_.graph.residents[static_cast<size_t>(operand.index)];
  }

  size_t places(Place place) const {
    switch (place) {
      case Place::arena:
      case Place::held:
        return 1;
      case Place::input:
        return plan_.inputs.size();
      case Place::output:
        return plan_.outputs.size();
      case Place::resident:
        return program_.graph.residents.size();
      case Place::constant:
        return plan_.constants.size();
    }
    return 0;
  }

  // The bytes of the memory that an operand is in, around where its offset counts from.
  std::optional<Reach> memory(const Operand& operand) const {
    const auto index = static_cast<size_t>(operand.index);
    switch (operand.place) {
      case Place::arena:
        return Reach{0, plan_.arena_bytes};
      case Place::held:
        return Reach{0, plan_.held_bytes};
      case Place::input:
        return whole(plan_.inputs[index].dtype, plan_.inputs[index].shape);
      case Place::output:
        if (!plan_.outputs[index].present) return std::nullopt;
        return whole(plan_.outputs[index].dtype, plan_.outputs[index].shape);
      case Place::constant:
        return whole(plan_.constants[index].dtype, plan_.constants[index].shape);
      case Place::resident:
        break;
    }
    const Resident& r = resident(operand);
    for (const Dim& dim : r.type.shape)
      if (!dim.is_constant()) return std::nullopt;
    if (r.kind == Resident::Kind::carried || r.data.data == nullptr) {
      const TensorType own = local_type(program_, operand.index, plan_.rank);
      return whole(own.dtype, constant_dims(own.shape));
    }
    return reach(r.data.dtype, r.data.shape, r.data.strides);
  }

  // Nothing for memory of any type.
  std::optional<DType> memory_dtype(const Operand& operand) const {
    const auto index = static_cast<size_t>(operand.index);
    switch (operand.place) {
      case Place::arena:
      case Place::held:
        return std::nullopt;
      case Place::input:
        return plan_.inputs[index].dtype;
      case Place::output:
        return plan_.outputs[index].dtype;
      case Place::constant:
        return plan_.constants[index].dtype;
      case Place::resident:
        return resident(operand).type.dtype;
    }
    return std::nullopt;
  }

  static std::optional<Reach> whole(DType dtype, const Dims& shape) {
    const auto bytes = dense_bytes(dtype, shape);
    return bytes ? std::optional(Reach{0, *bytes}) : std::nullopt;
  }

  template <class Name>
  void check_operand(const Operand& operand, Name name) const {
    if (operand.index < 0 || static_cast<size_t>(operand.index) >= places(operand.place))
      fail(Errc::invalid_argument, name(), " is in ", place_name(operand.place), " ", operand.index,
           " of ", places(operand.place));
    const auto touched = reach(operand.dtype, operand.shape, operand.strides);
    const auto there = memory(operand);
    // A view without elements still has an address, which must be one of its memory.
    const bool fits = touched && there && operand.offset >= there->begin &&
                      operand.offset <= there->end &&
                      touched->begin >= there->begin - operand.offset &&
                      touched->end <= there->end - operand.offset;
    if (!fits)
      fail(Errc::invalid_argument, name(), ", ", text(operand.dtype, operand.shape),
           " with strides ", operand.strides, " at byte ", operand.offset, ", leaves ",
           place_name(operand.place), " ", operand.index, " of ", there ? there->end : 0, " bytes");
    const auto dtype = memory_dtype(operand);
    if (dtype && *dtype != operand.dtype)
      fail(Errc::invalid_argument, name(), " reads ", place_name(operand.place), " ", operand.index,
           " as ", operand.dtype, "; ", *dtype, " is wanted");
    if (operand.offset % static_cast<int64_t>(size_of(operand.dtype)) != 0)
      fail(Errc::invalid_argument, name(), " is at byte ", operand.offset, "; a multiple of ",
           size_of(operand.dtype), " is wanted");
  }

  const Program& program_;
  const Plan& plan_;
  std::string here_;
};

}  // namespace

namespace {

// Every rank has some ranges of a dimension, and all of them together have all of it.
void check_state(const Program& program, const shard::Mesh& mesh, ResidentId id,
                 const shard::Placement& placement) {
  const auto count = static_cast<ResidentId>(program.graph.residents.size());
  require_argument(id >= 0 && id < count, "state ", id, "; residents are 0 to ", count - 1);
  const Resident& resident = program.graph.residents[static_cast<size_t>(id)];
  const auto where = join("state ", resident.name);
  require_argument(resident.kind == Resident::Kind::carried, where, " is ",
                   to_string(resident.kind), "; a carried resident is wanted");
  require_argument(static_cast<int>(placement.dims.size()) == resident.type.rank(), where, " has ",
                   placement.dims.size(), " tables; ", resident.type.rank(), " are wanted");
  for (size_t d = 0; d < placement.dims.size(); ++d) {
    const auto& table = placement.dims[d];
    if (!table) continue;
    const Dim& extent = resident.type.shape[d];
    const shard::AxisSet known = (shard::AxisSet{1} << mesh.axes().size()) - 1;
    require_argument(extent == Dim(table->extent()) && table->ranks() == mesh.size() &&
                         (table->axes() & ~known) == 0,
                     where, ", dimension ", d, " of ", extent, ": table of ", table->extent(),
                     " on ", table->ranks(), " ranks and axes ", table->axes(), "; ", mesh.size(),
                     " ranks of mesh ", mesh.text(), " are wanted");
    for (int r = 0; r < table->ranks(); ++r) {
      int64_t left = table->extent();
      for (const shard::Range& range : table->on(r).list()) {
        require_argument(range.begin >= 0 && range.end <= table->extent() && range.size() <= left,
                         where, ", dimension ", d, ": rank ", r, " holds ", range.begin, " to ",
                         range.end, " of ", table->extent(), ", ", left, " of them left");
        left -= range.size();
      }
    }
    require_argument(table->covers(), where, ", dimension ", d, ": no rank holds some of it");
  }
}

void check_states(const Program& program) {
  if (program.states.empty()) return;
  const shard::Mesh mesh = shard::ways_of({shard::Mesh::parse(program.mesh), program.context}).mesh;
  for (const auto& [id, placement] : program.states) check_state(program, mesh, id, placement);
  for (const Plan& plan : program.plans)
    require_argument(plan.rank < mesh.size(), "a plan is for rank ", plan.rank, "; mesh ",
                     program.mesh, " has ", mesh.size(), " ranks");
}

}  // namespace

void check_plans(const Program& program) {
  check_states(program);
  for (size_t i = 0; i < program.plans.size(); ++i) PlanChecker(program, i).run();
}

}  // namespace tutti
