// SPDX-License-Identifier: Apache-2.0
#include "import/weights.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "ops/elementwise.h"

namespace tutti {
namespace {

// A file of another model lacks every name: the first ones tell.
constexpr size_t kShown = 8;

std::string list_of(const std::vector<std::string>& lines) {
  std::string text;
  for (size_t i = 0; i < std::min(lines.size(), kShown); ++i) text += "\n  " + lines[i];
  if (lines.size() > kShown) text += join("\n  and ", lines.size() - kShown, " more");
  return text;
}

bool has_no_bytes(const Resident& resident) {
  return resident.kind == Resident::Kind::bound && resident.data.data == nullptr &&
         !(elements(resident.type.shape) == Dim(0));
}

class Binder {
 public:
  Binder(const WeightSource& weights, std::optional<DType> convert_to)
      : weights_(weights), convert_to_(convert_to), names_(weights.names()) {}

  std::optional<Tensor> take(const Resident& resident) {
    std::optional<Tensor> tensor = weights_.find(resident.name);
    if (!tensor) {
      std::string line = resident.name;
      if (missing_.size() < kShown)
        line += join("; nearest: ", join_list(nearest_names(resident.name, names_, 2)));
      missing_.push_back(std::move(line));
      return std::nullopt;
    }
    const DType wanted = resident.type.dtype;
    if (!(to_shape(tensor->shape) == resident.type.shape)) {
      misshaped_.push_back(
          join(resident.name, " is ", tensor->shape, "; ", resident.type.shape, " is wanted"));
    } else if (tensor->dtype != wanted) {
      if (convert_to_ == wanted && is_float(tensor->dtype)) return tensor;
      mistyped_.push_back(join(resident.name, " is ", tensor->dtype, "; ", wanted, " is wanted"));
      option_ = wanted;
    }
    return tensor;
  }

  void refuse() const {
    const std::string& path = weights_.path();
    require(missing_.empty(), Errc::not_found, path, ": ", missing_.size(),
            " weights are missing:", list_of(missing_));
    require_argument(misshaped_.empty(), path, ": ", misshaped_.size(),
                     " weights have another shape:", list_of(misshaped_));
    require_argument(mistyped_.empty(), path, ": ", mistyped_.size(),
                     " weights have another type (--dtype ", option_,
                     " converts floats):", list_of(mistyped_));
  }

  size_t unused(const Graph& graph) const {
    std::set<std::string_view> used;
    for (const Resident& resident : graph.residents) used.insert(resident.name);
    size_t count = 0;
    for (const std::string& name : names_) count += used.count(name) == 0;
    return count;
  }

 private:
  const WeightSource& weights_;
  const std::optional<DType> convert_to_;
  const std::vector<std::string> names_;
  std::vector<std::string> missing_, misshaped_, mistyped_;
  DType option_ = DType::f32;
};

std::string scope_of_first_user(const Function& f, ValueId id) {
  for (const Node& node : f.nodes)
    if (std::find(node.inputs.begin(), node.inputs.end(), id) != node.inputs.end())
      return node.scope;
  return {};
}

// Residents that are stored in another type than functions want are converted by them, so that
// whoever wants a part of one reads and converts no more than that.
void convert_stored(const Graph& graph, Function& f) {
  const auto old = static_cast<ValueId>(f.values.size());
  std::vector<Node> casts;
  for (ValueId id = 0; id < old; ++id) {
    if (f.value(id).resident == kNone) continue;
    const DType stored = graph.residents[static_cast<size_t>(f.value(id).resident)].type.dtype;
    const TensorType wanted = f.type(id);
    if (stored == wanted.dtype) continue;
    const auto made = static_cast<ValueId>(f.values.size());
    Node cast{Cast{wanted.dtype}, {id}, {made}, scope_of_first_user(f, id)};
    f.replace(id, made);
    f.values.push_back({f.new_name(cast.op.name()), wanted, kNone, kNone});
    f.value(id).type.dtype = stored;
    casts.push_back(std::move(cast));
  }
  f.nodes.insert(f.nodes.begin(), casts.begin(), casts.end());
  for (size_t n = 0; n < f.nodes.size(); ++n)
    for (const ValueId id : f.nodes[n].outputs) f.value(id).producer = static_cast<int32_t>(n);
}

}  // namespace

BoundWeights bind_weights(Graph& graph, const WeightSource& weights,
                          std::optional<DType> convert_to) {
  Binder binder(weights, convert_to);
  std::vector<std::pair<Resident*, Tensor>> found;
  for (Resident& resident : graph.residents) {
    if (!has_no_bytes(resident)) continue;
    if (auto tensor = binder.take(resident)) found.emplace_back(&resident, std::move(*tensor));
  }
  binder.refuse();
  BoundWeights result{found.size(), 0, binder.unused(graph)};
  for (auto& [resident, tensor] : found) {
    result.converted += tensor.dtype != resident->type.dtype;
    resident->type.dtype = tensor.dtype;
    resident->data = std::move(tensor);
  }
  if (result.converted != 0)
    for (Function& f : graph.functions) convert_stored(graph, f);
  return result;
}

}  // namespace tutti
