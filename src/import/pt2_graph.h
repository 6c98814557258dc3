// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "import/pt2_expr.h"

namespace tutti::pt2 {

// The graph of an exported PyTorch program as data: what stands in the JSON, in plain structs.
// All views point into the Program that was read; nothing here owns memory.

/// A size: a number, or an expression and the number it had in the exported example, where known.
struct SymInt {
  std::optional<int64_t> value;
  const Expr* expr = nullptr;  ///< null for a number

  bool is_symbolic() const { return expr != nullptr; }
};

/// Type, sizes and strides that a tensor had when the program was traced.
struct TensorMeta {
  int64_t scalar_type = 0;  ///< see pt2_types.h
  int64_t layout = 0;
  std::span<const SymInt> sizes;
  std::span<const SymInt> strides;
  SymInt storage_offset;
  std::string_view device;  ///< "cpu", "cuda", "meta"
  bool requires_grad = false;
};

struct Graph;
struct NamedArgument;

/// as_none
struct None {};

/// as_tensor: the name of a value of the graph.
struct TensorName {
  std::string_view name;
};

/// as_tensors; as_optional_tensors, where an empty name stands for none.
struct TensorNames {
  std::span<const std::string_view> names;
};

/// as_nested_tensors
struct NestedTensors {
  std::span<const TensorNames> lists;
};

/// as_sym_int, as_sym_bool, as_sym_float: a value of the graph, or a literal when `name` is empty.
template <class T>
struct SymRef {
  std::string_view name;
  T value{};
};

/// as_scalar_type, as_memory_format, as_layout: numbers of the schema.
struct ScalarType {
  int64_t number;
};
struct MemoryFormat {
  int64_t number;  ///< 1 contiguous, 2 channels last, 3 channels last 3d, 4 preserve
};
struct Layout {
  int64_t number;
};

/// as_device
struct Device {
  std::string_view type;
  std::optional<int64_t> index;
};

/// as_graph: a function of a higher-order operator.
struct SubGraph {
  std::string_view name;
  const Graph* graph;
};

/// as_custom_obj
struct CustomObject {
  std::string_view name;
  std::string_view class_name;
};

/// as_operator
struct OperatorName {
  std::string_view name;
};

/// as_complex
struct Complex {
  double real;
  double imag;
};

/// as_string_to_argument: `count` keys, each the name of its argument.
struct ArgumentMap {
  const NamedArgument* begin;
  size_t count;
};

/// A tag that this version of tutti does not know; an error only for who needs the argument.
struct Unknown {
  std::string_view tag;
};

template <class T>
using List = std::span<const T>;

/// One argument or result; the JSON's tag is the alternative.
using Argument =
    std::variant<None, TensorName, TensorNames, NestedTensors, int64_t, double, bool,
                 std::string_view, List<int64_t>, List<double>, List<bool>, List<std::string_view>,
                 List<List<int64_t>>, List<List<double>>, SymRef<int64_t>, SymRef<bool>,
                 SymRef<double>, List<SymRef<int64_t>>, List<SymRef<bool>>, List<SymRef<double>>,
                 ScalarType, MemoryFormat, Layout, Device, SubGraph, CustomObject, OperatorName,
                 Complex, ArgumentMap, Unknown>;

/// An argument and the name of the parameter it is for; bind by name.
struct NamedArgument {
  std::string_view name;
  Argument value;
};

/// One call in the graph.
struct Node {
  std::string_view target;     ///< "torch.ops.aten.linear.default"
  List<NamedArgument> inputs;  ///< those given; defaults that the call left out are absent
  List<Argument> outputs;
  std::string_view name;             ///< may be empty
  std::string_view nn_module_stack;  ///< as in the metadata, see module_path

  /// The argument of that name, or null.
  const Argument* find(std::string_view parameter) const;
};

/// The innermost module of an nn_module_stack ("key,path,type;..."): "layers.0.attn", or empty.
std::string_view module_path(std::string_view nn_module_stack);

/// Something of the graph and its name.
template <class T>
struct Named {
  std::string_view name;
  T value;
};

/// Nodes in the order of their execution. The tables are sorted by name.
struct Graph {
  List<Argument> inputs;
  List<Argument> outputs;
  List<Node> nodes;
  List<Named<TensorMeta>> tensor_values;
  List<Named<SymInt>> sym_int_values;
  bool is_single_tensor_return = false;

  /// What is known of a value of that name, or null.
  const TensorMeta* find_tensor(std::string_view name) const;
  const SymInt* find_sym_int(std::string_view name) const;
};

}  // namespace tutti::pt2
