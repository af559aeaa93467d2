#include "apps/onnx.h"

#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include <utility>
#include <vector>

#include "apps/version.h"
#include "engine/checkpoint.h"
#include "engine/trace.h"

namespace etude::apps {

namespace {

constexpr int kOperatorSet = 13, kIrVersion = 7;

// Tensors of a trace are told apart by memory and shape: a reshape shares its input's memory.
using Key = std::pair<const void*, std::vector<Index>>;

Key key_of(const Tensor& t) {
  const void* data = nullptr;
  switch (t.dtype()) {
    case DType::f32:
      data = t.data<float>();
      break;
    case DType::f64:
      data = t.data<double>();
      break;
    case DType::i64:
      data = t.data<std::int64_t>();
      break;
    case DType::u8:
      data = t.data<std::uint8_t>();
      break;
  }
  return {data, {t.shape().begin(), t.shape().end()}};
}

void add_ints(onnx::NodeProto& node, const char* name, const std::vector<Index>& values) {
  onnx::AttributeProto& a = *node.add_attribute();
  a.set_name(name);
  a.set_type(onnx::AttributeProto::INTS);
  for (const Index v : values) a.add_ints(v);
}

void add_int(onnx::NodeProto& node, const char* name, Index value) {
  onnx::AttributeProto& a = *node.add_attribute();
  a.set_name(name);
  a.set_type(onnx::AttributeProto::INT);
  a.set_i(value);
}

void add_float(onnx::NodeProto& node, const char* name, double value) {
  onnx::AttributeProto& a = *node.add_attribute();
  a.set_name(name);
  a.set_type(onnx::AttributeProto::FLOAT);
  a.set_f(static_cast<float>(value));
}

// The shape of activations in the graph: NHWC becomes NCHW.
std::vector<Index> graph_shape(const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  return {s.begin(), s.end()};
}

// Writes "N, then the rest" into a value's type.
void set_type(onnx::ValueInfoProto& value, const std::string& name, const Shape& shape) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx::TensorProto::FLOAT);
  const std::vector<Index> dims = graph_shape(shape);
  tensor.mutable_shape()->add_dim()->set_dim_param("N");
  for (std::size_t i = 1; i < dims.size(); ++i)
    tensor.mutable_shape()->add_dim()->set_dim_value(dims[i]);
}

std::string describe_value(const std::string& name, const Shape& shape) {
  const std::vector<Index> dims = graph_shape(shape);
  std::string text = name + " [N";
  for (std::size_t i = 1; i < dims.size(); ++i) text += fmt::format(", {}", dims[i]);
  return text + "]";
}

class Writer {
 public:
  Writer(onnx::GraphProto& graph, Module& model, const std::vector<TracedOp>& ops)
      : graph_(graph), ops_(ops) {
    for (StateEntry& entry : model.state()) {
      const Key key = key_of(entry.tensor);
      parameters_.emplace(key, std::move(entry));
    }
  }

  void name(const Tensor& t, const std::string& name) { names_[key_of(t)] = name; }

  void write(std::size_t i) {
    const TracedOp& op = ops_[i];
    const std::string kind = op.op;
    const auto input = [&](std::size_t j) { return name_of(op.inputs[j]); };
    std::string y;
    if (kind == "conv2d") {
      const auto& p = std::get<Conv2dShape>(op.details.shape);
      onnx::NodeProto& node = add("Conv", {input(0), input(1)});
      if (op.inputs[2].defined()) node.add_input(input(2));
      add_ints(node, "kernel_shape", {p.r, p.s});
      add_ints(node, "strides", {p.stride_h, p.stride_w});
      add_ints(node, "pads", {p.pad_h, p.pad_w, p.pad_h, p.pad_w});
      add_ints(node, "dilations", {p.dilation_h, p.dilation_w});
      y = activated(node.output(0), op.details.relu);
    } else if (kind == "linear") {
      onnx::NodeProto& node = add("Gemm", {input(0), input(1)});
      if (op.inputs[2].defined()) node.add_input(input(2));
      add_int(node, "transB", 1);
      y = node.output(0);
    } else if (kind == "batch_norm") {
      check(!op.details.training, "export: the network is in training mode");
      const auto& p = std::get<BatchNormShape>(op.details.shape);
      onnx::NodeProto& node =
          add("BatchNormalization", {input(0), input(1), input(2), input(4), input(5)});
      add_float(node, "epsilon", p.eps);
      y = node.output(0);
      if (op.inputs[3].defined()) y = add("Add", {y, input(3)}).output(0);
      y = activated(y, p.relu);
    } else if (kind == "relu") {
      y = add("Relu", {input(0)}).output(0);
    } else if (kind == "add" || kind == "mul") {
      y = add(kind == "add" ? "Add" : "Mul", {input(0), input(1)}).output(0);
    } else if (kind == "max_pool2d" || kind == "avg_pool2d") {
      const auto& p = std::get<Pool2dShape>(op.details.shape);
      const bool max = kind == "max_pool2d";
      onnx::NodeProto& node = add(max ? "MaxPool" : "AveragePool", {input(0)});
      add_ints(node, "kernel_shape", {p.r, p.s});
      add_ints(node, "strides", {p.stride_h, p.stride_w});
      add_ints(node, "pads", {p.pad_h, p.pad_w, p.pad_h, p.pad_w});
      if (!max) add_int(node, "count_include_pad", 1);
      y = node.output(0);
    } else if (kind == "adaptive_avg_pool2d") {
      const auto& p = std::get<AdaptivePool2dShape>(op.details.shape);
      if (p.p == 1 && p.q == 1) {
        y = add("GlobalAveragePool", {input(0)}).output(0);
      } else if (p.h % p.p == 0 && p.w % p.q == 0) {
        y = average_windows(input(0), p.h / p.p, p.w / p.q);
      } else {
        y = average_height(input(0), p.h, p.p);
        y = exchanged(average_height(exchanged(y), p.w, p.q));
      }
    } else if (kind == "reshape" && op.output.rank() == 2 && op.inputs[0].rank() > 1 &&
               op.inputs[0].dim(0) == op.output.dim(0)) {
      std::string x = input(0);
      if (!order_in_weights(i)) x = transposed(x, {0, 2, 3, 1});
      onnx::NodeProto& node = add("Flatten", {x});
      add_int(node, "axis", 1);
      y = node.output(0);
    } else if (kind == "reshape" && op.output.rank() == 2) {  // rows into more or fewer of them
      const bool channels_last = op.inputs[0].rank() == 4 && op.inputs[0].dim(3) > 1;
      const std::string x = channels_last ? transposed(input(0), {0, 2, 3, 1}) : input(0);
      y = add("Reshape", {x, shape_constant({-1, op.output.dim(1)})}).output(0);
    } else if (kind == "mean_std") {  // over W: [N,C,H,1] each, side by side
      // In forms that simple runtimes have, too: means as pooling, and the deviation from the mean
      // of the squares, for lack of a broadcast difference. That multiplies rounding errors by
      // 1 + (mean / deviation)^2, which is small for standardised features.
      const auto mean_of = [&](const std::string& x) {
        onnx::NodeProto& node = add("AveragePool", {x});
        add_ints(node, "kernel_shape", {1, op.inputs[0].dim(2)});
        return node.output(0);
      };
      const auto square = [&](const std::string& x) { return add("Mul", {x, x}).output(0); };
      const std::string mean = mean_of(input(0)), mean_square = mean_of(square(input(0)));
      const std::string variance = add("Sub", {mean_square, square(mean)}).output(0);
      const std::string deviation = add("Sqrt", {activated(variance, true)}).output(0);
      onnx::NodeProto& node = add("Concat", {mean, deviation});
      add_int(node, "axis", 3);
      y = node.output(0);
    } else {
      fail("export: the op {} has no form in ONNX", kind);
    }
    name(op.output, y);
  }

 private:
  onnx::NodeProto& add(const char* type, const std::vector<std::string>& inputs) {
    onnx::NodeProto& node = *graph_.add_node();
    node.set_op_type(type);
    const std::string name = fmt::format("{}_{}", type, graph_.node_size());
    node.set_name(name);
    for (const std::string& input : inputs) node.add_input(input);
    node.add_output(name);
    return node;
  }

  std::string activated(const std::string& x, bool relu) {
    return relu ? add("Relu", {x}).output(0) : x;
  }

  std::string transposed(const std::string& x, const std::vector<Index>& order) {
    onnx::NodeProto& node = add("Transpose", {x});
    add_ints(node, "perm", order);
    return node.output(0);
  }
  std::string exchanged(const std::string& x) { return transposed(x, {0, 1, 3, 2}); }  // H and W

  std::string average_windows(const std::string& x, Index h, Index w) {
    onnx::NodeProto& node = add("AveragePool", {x});
    add_ints(node, "kernel_shape", {h, w});
    add_ints(node, "strides", {h, w});
    return node.output(0);
  }

  // The height h in p windows as adaptive pooling has them. ONNX has no such pooling: where they
  // are not equal, each is a weighted sum of the rows, a 1x1 convolution with rows for channels.
  std::string average_height(const std::string& x, Index h, Index p) {
    if (h % p == 0) return average_windows(x, h / p, 1);
    std::vector<float> weights(static_cast<std::size_t>(p * h), 0.0f);
    for (Index i = 0; i < p; ++i) {
      const Index begin = i * h / p, end = ((i + 1) * h + p - 1) / p;
      for (Index row = begin; row < end; ++row)
        weights[static_cast<std::size_t>(i * h + row)] = 1 / static_cast<float>(end - begin);
    }
    constants_.push_back(Tensor::from(weights, {p, h, 1, 1}));
    onnx::NodeProto& node = add("Conv", {transposed(x, {0, 2, 1, 3}), name_of(constants_.back())});
    add_ints(node, "kernel_shape", {1, 1});
    return transposed(node.output(0), {0, 2, 1, 3});
  }

  std::string shape_constant(const std::vector<Index>& shape) {
    onnx::TensorProto& stored = *graph_.add_initializer();
    stored.set_name(fmt::format("constant_{}", graph_.initializer_size()));
    stored.set_data_type(onnx::TensorProto::INT64);
    stored.add_dims(static_cast<Index>(shape.size()));
    for (const Index d : shape) stored.add_int64_data(d);
    return stored.name();
  }

  // Whether flattening in the graph's order (C,H,W) instead of ours (H,W,C) is taken care of: there
  // is but one order, or the linear layer that reads it has its weight's columns permuted.
  bool order_in_weights(std::size_t i) const {
    const Tensor& x = ops_[i].inputs[0];
    if (x.rank() != 4 || x.dim(3) == 1 || x.dim(1) * x.dim(2) == 1) return true;
    const Key key = key_of(ops_[i].output);
    for (std::size_t j = i + 1; j < ops_.size(); ++j) {
      if (ops_[j].inputs.empty() || key_of(ops_[j].inputs[0]) != key) continue;
      if (ops_[j].op != std::string("linear")) return false;
      const auto weight = parameters_.find(key_of(ops_[j].inputs[1]));
      return weight != parameters_.end() && weight->second.layout.kind == Layout::columns;
    }
    return false;
  }

  // The graph's name of a value; a tensor that no op made is a parameter or a constant.
  std::string name_of(const Tensor& t) {
    const Key key = key_of(t);
    if (const auto found = names_.find(key); found != names_.end()) return found->second;
    const auto parameter = parameters_.find(key);
    const bool known = parameter != parameters_.end();
    const std::string name =
        known ? parameter->second.name : fmt::format("constant_{}", graph_.initializer_size());
    const Tensor values = to_torch_layout(t.detach(), known ? parameter->second.layout : Layout{});
    onnx::TensorProto& stored = *graph_.add_initializer();
    stored.set_name(name);
    stored.set_data_type(onnx::TensorProto::FLOAT);
    for (const Index d : values.shape()) stored.add_dims(d);
    stored.set_raw_data(values.data<float>(),
                        static_cast<std::size_t>(values.size()) * sizeof(float));
    names_[key] = name;
    return name;
  }

  onnx::GraphProto& graph_;
  const std::vector<TracedOp>& ops_;
  std::vector<Tensor> constants_;  // kept: names go by their memory
  std::map<Key, StateEntry> parameters_;
  std::map<Key, std::string> names_;
};

}  // namespace

bool onnx_available() { return true; }

OnnxGraph to_onnx(Module& model, const Shape& sample, const std::string& output_name,
                  const std::map<std::string, std::string>& metadata) {
  check(sample.rank() == 3, "export: expected a sample [H,W,C], got {}", to_string(sample));
  const NoGrad no_grad;
  const Trace trace;
  const Tensor x = Tensor::zeros({1, sample[0], sample[1], sample[2]});
  const Tensor y = model(x);

  onnx::ModelProto proto;
  proto.set_ir_version(kIrVersion);
  proto.set_producer_name("etude");
  proto.set_producer_version(version());
  onnx::OperatorSetIdProto& operators = *proto.add_opset_import();
  operators.set_domain("");
  operators.set_version(kOperatorSet);
  for (const auto& [key, value] : metadata) {
    onnx::StringStringEntryProto& entry = *proto.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  onnx::GraphProto& graph = *proto.mutable_graph();
  graph.set_name(model.kind());
  Writer writer(graph, model, trace.ops());
  writer.name(x, "x");
  for (std::size_t i = 0; i < trace.ops().size(); ++i) writer.write(i);
  check(graph.node_size() > 0, "export: the network does nothing");
  graph.mutable_node(graph.node_size() - 1)->set_output(0, output_name);
  set_type(*graph.add_input(), "x", x.shape());
  set_type(*graph.add_output(), output_name, y.shape());
  try {
    onnx::checker::check_model(proto);
  } catch (const std::exception& e) {
    fail("export: ONNX's checker rejects the graph: {}", e.what());
  }
  OnnxGraph result;
  check(proto.SerializeToString(&result.bytes), "export: the network is too large for one file");
  result.input = describe_value("x", x.shape());
  result.output = describe_value(output_name, y.shape());
  result.nodes = graph.node_size();
  return result;
}

}  // namespace etude::apps
