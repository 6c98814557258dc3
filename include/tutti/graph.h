// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tutti/tensor.h"

namespace tutti {

/// An extent of a shape: a number, or an expression over named symbols: "batch", "2*length + 1".
struct Extent {
  /// A fixed extent.
  Extent(int64_t value) : text(std::to_string(value)) {}
  Extent(int value) : text(std::to_string(value)) {}
  /// A symbolic one: + - * // % min() max() over integers and names.
  Extent(std::string expression) : text(std::move(expression)) {}
  Extent(const char* expression) : text(expression) {}

  std::string text;  ///< "64" or "batch"
};

/// A shape whose extents may be symbolic: {"batch", 64}.
using Extents = std::vector<Extent>;

/// The value of an operator's attribute.
class Attribute {
 public:
  /// A switch, a number, a word such as "max", a type, or a tensor that is part of the program.
  Attribute(bool value);
  Attribute(int value) : Attribute(static_cast<int64_t>(value)) {}
  Attribute(int64_t value);
  Attribute(double value);
  Attribute(const char* value);
  Attribute(const std::string& value);
  Attribute(DType value);
  Attribute(const Tensor& value);
  /// A list of integers or numbers: {0, 2, 1}.
  Attribute(std::initializer_list<int64_t> values);
  Attribute(const std::vector<int64_t>& values);
  Attribute(const std::vector<double>& values);
  /// An extent or a shape: {"batch", 64}.
  Attribute(const Extent& value);
  Attribute(std::initializer_list<Extent> values);
  Attribute(const Extents& values);

  /// As `tutti inspect --graph` prints it.
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Attributes by name: {{"axis", 1}, {"keep", true}}. Those left out have their defaults.
using AttributeList = std::vector<std::pair<std::string, Attribute>>;

/// A tensor that a network computes: what GraphBuilder and the functions below work with.
///
/// A cheap handle; it keeps the network that it is part of alive.
class Expression {
 public:
  Expression() = default;
  /// Element type, and extents with their symbols.
  DType dtype() const;
  Extents shape() const;
  int rank() const;
  /// "f32[batch, 64]"
  std::string describe() const;
  /// A constant of this element type, in the same network.
  Expression constant_like(double value) const;
  /// False for one made by default, which stands for an operand left out.
  explicit operator bool() const { return network_ != nullptr; }

 private:
  friend class GraphBuilder;
  friend class Engine;
  friend Expression operation(std::string_view, const std::vector<Expression>&,
                              const AttributeList&);
  struct Network;
  Expression(std::shared_ptr<Network> network, int32_t id)
      : network_(std::move(network)), id_(id) {}
  Network& network() const;

  std::shared_ptr<Network> network_;
  int32_t id_ = -1;
};

/// A network under construction: inputs, weights and state, operators on them, named outputs.
///
/// Types are checked as each operator is added: what does not fit throws invalid_argument with the
/// operator, the operand, what was found and what was wanted. Nothing is cast silently.
/// One thread at a time.
class GraphBuilder {
 public:
  GraphBuilder();
  ~GraphBuilder();
  GraphBuilder(GraphBuilder&&) noexcept;
  GraphBuilder& operator=(GraphBuilder&&) noexcept;

  /// A tensor that each run is given. New names in `shape` become symbols of 1 or more.
  Expression input(const std::string& name, DType dtype, const Extents& shape);

  /// A tensor that is part of the engine. The builder shares its memory, nothing is copied.
  Expression weight(const std::string& name, const Tensor& value);

  /// A weight whose bytes are given when the engine is built or loaded, by this name.
  Expression weight(const std::string& name, DType dtype, const Dims& shape);

  /// A tensor that a session keeps from run to run; it starts as `value`.
  Expression state(const std::string& name, const Tensor& value);

  /// At the end of a run, `state` becomes `value`. Throws unless `state` is one, of value's type.
  void update(const Expression& state, const Expression& value);

  /// A tensor that is part of the program, for small constants.
  Expression constant(const Tensor& value);
  Expression constant(double value, DType dtype = DType::f32);

  /// Names a result of the network.
  void output(const std::string& name, const Expression& value);

  /// Restricts a symbol to a range and to multiples of a number.
  void symbol(const std::string& name, int64_t min, int64_t max, int64_t multiple_of = 1);

  /// What is added from now on stands at this place ("blocks.0.attn"), for messages and profiles.
  void set_scope(const std::string& scope);

  /// Any operator that operators() lists; all its results in order. Operands must belong to this
  /// builder, if there are any.
  std::vector<Expression> add(std::string_view op, const std::vector<Expression>& operands,
                              const AttributeList& attributes = {});

  /// The network as readable text.
  std::string text() const;

 private:
  friend class Engine;
  friend Expression operation(std::string_view, const std::vector<Expression>&,
                              const AttributeList&);
  explicit GraphBuilder(std::shared_ptr<Expression::Network> network);
  Expression add_resident(const std::string& name, DType dtype, const Dims& shape,
                          const Tensor& value, bool carried);
  void check(const Expression& operand) const;

  std::shared_ptr<Expression::Network> network_;
};

/// An operator of one result, added to the network that its operands belong to.
Expression operation(std::string_view op, const std::vector<Expression>& operands,
                     const AttributeList& attributes = {});

/// Arithmetic of each element; extents broadcast as in NumPy, types must be equal.
Expression operator+(const Expression& a, const Expression& b);
Expression operator-(const Expression& a, const Expression& b);
Expression operator*(const Expression& a, const Expression& b);
Expression operator/(const Expression& a, const Expression& b);

/// The same with a number, which takes the type of the other operand.
Expression operator+(const Expression& a, double b);
Expression operator-(const Expression& a, double b);
Expression operator*(const Expression& a, double b);
Expression operator/(const Expression& a, double b);
Expression operator+(double a, const Expression& b);
Expression operator-(double a, const Expression& b);
Expression operator*(double a, const Expression& b);
Expression operator/(double a, const Expression& b);
Expression operator-(const Expression& a);

/// a [..., m, k] times b [..., k, n]; leading extents broadcast.
Expression matmul(const Expression& a, const Expression& b);

/// x [..., k] times the transpose of weight [n, k], plus bias [n], where there is one.
Expression linear(const Expression& x, const Expression& weight, const Expression& bias = {});

/// Functions of each element. gelu is the exact one, by erf; gelu_tanh its approximation.
Expression relu(const Expression& x);
Expression gelu(const Expression& x);
Expression gelu_tanh(const Expression& x);
Expression silu(const Expression& x);
Expression sigmoid(const Expression& x);
Expression tanh(const Expression& x);
Expression exp(const Expression& x);
Expression sqrt(const Expression& x);
Expression rsqrt(const Expression& x);

/// exp(x) / sum(exp(x)) along an axis; negative axes count from the end, here and below.
Expression softmax(const Expression& x, int64_t axis = -1);

/// Normalization over the last axes, as many as weight has; weight and bias may be absent: then
/// over the last axis.
Expression layer_norm(const Expression& x, const Expression& weight = {},
                      const Expression& bias = {}, double eps = 1e-5);
Expression rms_norm(const Expression& x, const Expression& weight = {}, double eps = 1e-6);

/// Keys that a query of attention sees: so many before its own position and behind it, -1 for all.
struct Window {
  int64_t left = -1;
  int64_t right = -1;
  int64_t offset = 0;  ///< position of the first query among the keys
};
inline constexpr Window kCausal{-1, 0};

/// softmax(scale * q k^T + mask) v for each head, over the keys of a window: {} for all, kCausal,
/// {255, 0} for the last 256.
///
/// q [b, n, s, d], k [b, m, t, d], v [b, m, t, e] with m dividing n; scale 0 stands for 1/sqrt(d).
/// mask, where there is one: boolean (true attends) or added, broadcast to [b, n, s, t].
Expression attention(const Expression& q, const Expression& k, const Expression& v,
                     const Expression& mask = {}, const Window& window = {}, double scale = 0);

/// Rows of table [n, ...] at the given indices, i64 or i32 of any shape.
Expression embedding(const Expression& table, const Expression& indices);

/// The same elements under another shape.
Expression reshape(const Expression& x, const Extents& shape);

/// Axis i of the result is axis axes[i] of x.
Expression permute(const Expression& x, const std::vector<int64_t>& axes);

/// x with two axes exchanged.
Expression transpose(const Expression& x, int64_t a, int64_t b);

/// The operands one after the other along an axis.
Expression concat(const std::vector<Expression>& operands, int64_t axis);

/// Elements start to start + size - 1 of an axis.
Expression slice(const Expression& x, int64_t axis, const Extent& start, const Extent& size);

/// Sum, mean or largest element over axes.
Expression sum(const Expression& x, const std::vector<int64_t>& axes, bool keep = false);
Expression mean(const Expression& x, const std::vector<int64_t>& axes, bool keep = false);
Expression max(const Expression& x, const std::vector<int64_t>& axes, bool keep = false);

/// x in another element type, converted as PyTorch's Tensor.to does.
Expression cast(const Expression& x, DType dtype);

/// Convolution in 2 dimensions: x [b, c, height, width], weight [o, c / groups, kernel, kernel],
/// bias [o], where there is one; stride and zero padding are the same in both directions.
Expression conv2d(const Expression& x, const Expression& weight, const Expression& bias = {},
                  int64_t stride = 1, int64_t padding = 0, int64_t groups = 1);

/// The ranks that exchange tensors; positions below are those in the list that a rank is in.
///
/// They are `ranks` where given, else those that Session::bind gives `group`, else all. Every
/// `size` of them in order are a list that exchanges tensors; 0 is one list of all, which will do
/// without `ranks` only where the shape of the result does not follow from it. A rank in no list
/// gets zeros. See docs/collectives.md.
struct Ranks {
  std::string group;
  std::vector<int64_t> ranks;
  int64_t size = 0;
};

/// x reduced over ranks by sum, prod, max, min or avg: on all of them, or on root, zeros elsewhere.
Expression all_reduce(const Expression& x, const Ranks& ranks = {},
                      const std::string& reduce = "sum");
Expression reduce_to(const Expression& x, const Ranks& ranks, int64_t root = 0,
                     const std::string& reduce = "sum");

/// x of all ranks joined along an axis: on all of them, or on root, zeros elsewhere.
Expression all_gather(const Expression& x, const Ranks& ranks, int64_t axis = 0);
Expression gather_to(const Expression& x, const Ranks& ranks, int64_t root = 0, int64_t axis = 0);

/// This rank's of `size` equal blocks of an axis: of x reduced over ranks, or of root's x.
Expression reduce_scatter(const Expression& x, const Ranks& ranks,
                          const std::string& reduce = "sum", int64_t axis = 0);
Expression scatter_from(const Expression& x, const Ranks& ranks, int64_t root = 0,
                        int64_t axis = 0);

/// Block s of split_axis goes to rank s, what arrives is joined along concat_axis. The second form
/// sends sends[s] indices of an axis to rank s and receives receives[s] from it.
Expression all_to_all(const Expression& x, const Ranks& ranks, int64_t split_axis = 0,
                      int64_t concat_axis = 0);
Expression all_to_all_v(const Expression& x, const Ranks& ranks, const std::vector<int64_t>& sends,
                        const std::vector<int64_t>& receives, int64_t axis = 0);

/// The x of root, on all ranks.
Expression broadcast(const Expression& x, const Ranks& ranks = {}, int64_t root = 0);

/// x to one rank, and what one rank sends: for engines that differ by rank.
void send(GraphBuilder& builder, const Expression& x, const Ranks& ranks, int64_t to);
Expression recv(GraphBuilder& builder, const Ranks& ranks, int64_t from, DType dtype,
                const Extents& shape);

/// This rank's position in its list, i64[]; 0 in none.
Expression rank_in(GraphBuilder& builder, const Ranks& ranks = {});

/// What an operator is, for people: `tutti ops` prints these.
struct OperatorInfo {
  /// One attribute.
  struct AttributeInfo {
    std::string name, default_value, doc;
  };
  std::string name, doc;
  std::string types;     ///< element types it takes; "" where the attributes say so
  std::string sharding;  ///< how its dimensions may be split between devices
  std::vector<AttributeInfo> attributes;
  std::vector<std::string> implementations;  ///< on the CPU, the preferred one first
};

/// All operators that GraphBuilder::add knows.
std::vector<OperatorInfo> operators();

}  // namespace tutti
