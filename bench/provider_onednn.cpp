// oneDNN, where its headers were found at build time (Debian: libdnnl-dev). Versions 2 and 3.
#include "bench/runner.h"

#if !ETUDE_HAVE_ONEDNN
namespace etude::bench {
void add_onednn(std::vector<Provider>&, std::vector<std::string>& skipped) {
  skipped.push_back("onednn: not in this build (libdnnl-dev)");
}
}  // namespace etude::bench
#else

#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

namespace etude::bench {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;
using tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

// The description of a primitive from what describes the operation; a backward one takes the
// forward one as a hint.
template <class Primitive, class... Operation>
auto describe(const Operation&... operation) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine(), operation...);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(operation...), engine());
#endif
}
template <class Primitive, class Hint, class... Operation>
auto describe_backward(const Hint& hint, const Operation&... operation) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine(), operation..., hint);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(operation...), engine(), hint);
#endif
}

memory::desc layout(const memory::dims& dims, tag t) { return {dims, memory::data_type::f32, t}; }

// One operand: its dimensions as oneDNN writes them (N C H W, K C R S), the layout that etude keeps
// it in, and the layout that the primitive wants.
struct Place {
  int argument;
  memory::dims dims;
  tag ours;
  memory::desc theirs;
};

struct Plan {
  dnnl::primitive primitive;
  std::vector<Place> inputs;
  Place output;
  std::vector<std::pair<int, memory> > extra;  // e.g. what the forward pass leaves for backward
  std::size_t workspace = 0;
  std::string note;
};

// Buffers are in the primitive's own layout: reordering is not timed, the yardstick's best case.
class OnednnRunner final : public Runner {
 public:
  OnednnRunner(Plan plan, const Inputs& inputs, int sets) : plan_(std::move(plan)) {
    workspace = plan_.workspace;
    note = plan_.note;
    for (int set = 0; set < sets; ++set) {
      Arguments arguments;
      for (std::size_t i = 0; i < plan_.inputs.size(); ++i)
        arguments[plan_.inputs[i].argument] = to_theirs(plan_.inputs[i], inputs[i]);
      arguments[plan_.output.argument] = memory(plan_.output.theirs, engine());
      for (const auto& [argument, buffer] : plan_.extra) arguments[argument] = buffer;
      sets_.push_back(std::move(arguments));
    }
  }

  void call(int set) override {
    plan_.primitive.execute(stream_, sets_[static_cast<std::size_t>(set)]);
    stream_.wait();
  }

  std::vector<float> output(int set) override {
    const Place& place = plan_.output;
    memory theirs = sets_[static_cast<std::size_t>(set)].at(place.argument);
    memory ours(layout(place.dims, place.ours), engine());
    dnnl::reorder(theirs, ours).execute(stream_, theirs, ours);
    stream_.wait();
    const auto* values = static_cast<const float*>(ours.get_data_handle());
    return {values, values + ours.get_desc().get_size() / sizeof(float)};
  }

  void spoil(int set) override {
    const memory& y = sets_[static_cast<std::size_t>(set)].at(plan_.output.argument);
    auto* values = static_cast<float*>(y.get_data_handle());
    std::fill(values, values + y.get_desc().get_size() / sizeof(float), -7.0F);
  }

 private:
  memory to_theirs(const Place& place, const std::vector<float>& values) {
    memory ours(layout(place.dims, place.ours), engine(), const_cast<float*>(values.data()));
    memory theirs(place.theirs, engine());
    dnnl::reorder(ours, theirs).execute(stream_, ours, theirs);
    stream_.wait();
    return theirs;
  }

  Plan plan_;
  dnnl::stream stream_{engine()};
  std::vector<Arguments> sets_;
};

// ---- convolution
// ---------------------------------------------------------------------------------

Plan conv2d(const Problem& problem, bool plain) {
  const Conv2dShape p = conv2d_shape(problem);
  const memory::dims x{p.n, p.c, p.h, p.w}, w{p.k, p.c, p.r, p.s}, y{p.n, p.k, p.p(), p.q()},
      stride{p.stride_h, p.stride_w}, dilation{p.dilation_h - 1, p.dilation_w - 1},
      pad{p.pad_h, p.pad_w}, pad_end{p.pad_h, p.pad_w};
  const tag activations = plain ? tag::nhwc : tag::any;
  const memory::desc dx = layout(x, activations), dw = layout(w, tag::any),
                     dy = layout(y, activations);
  const auto forward = describe<dnnl::convolution_forward>(prop_kind::forward_training,
                                                           algorithm::convolution_direct, dx, dw,
                                                           dy, stride, dilation, pad, pad_end);
  Plan plan;
  const auto place = [](int argument, const memory::dims& dims, tag ours, memory::desc theirs) {
    return Place{argument, dims, ours, std::move(theirs)};
  };
  const auto fill = [&](const auto& pd) {
    plan.workspace = pd.scratchpad_desc().get_size();
    plan.note = std::string(pd.impl_info_str()) + (plain ? ", nhwc" : ", own layout");
  };
  switch (conv2d_pass(problem)) {
    case Pass::forward:
      plan.primitive = dnnl::convolution_forward(forward);
      plan.inputs = {place(DNNL_ARG_SRC, x, tag::nhwc, forward.src_desc()),
                     place(DNNL_ARG_WEIGHTS, w, tag::ohwi, forward.weights_desc())};
      plan.output = place(DNNL_ARG_DST, y, tag::nhwc, forward.dst_desc());
      fill(forward);
      break;
    case Pass::backward_data: {
      const auto pd = describe_backward<dnnl::convolution_backward_data>(
          forward, algorithm::convolution_direct, dx, dw, dy, stride, dilation, pad, pad_end);
      plan.primitive = dnnl::convolution_backward_data(pd);
      plan.inputs = {place(DNNL_ARG_DIFF_DST, y, tag::nhwc, pd.diff_dst_desc()),
                     place(DNNL_ARG_WEIGHTS, w, tag::ohwi, pd.weights_desc())};
      plan.output = place(DNNL_ARG_DIFF_SRC, x, tag::nhwc, pd.diff_src_desc());
      fill(pd);
      break;
    }
    case Pass::backward_filter: {
      const auto pd = describe_backward<dnnl::convolution_backward_weights>(
          forward, algorithm::convolution_direct, dx, dw, dy, stride, dilation, pad, pad_end);
      plan.primitive = dnnl::convolution_backward_weights(pd);
      plan.inputs = {place(DNNL_ARG_SRC, x, tag::nhwc, pd.src_desc()),
                     place(DNNL_ARG_DIFF_DST, y, tag::nhwc, pd.diff_dst_desc())};
      plan.output = place(DNNL_ARG_DIFF_WEIGHTS, w, tag::ohwi, pd.diff_weights_desc());
      fill(pd);
    }
  }
  return plan;
}

// ---- max-pooling
// ---------------------------------------------------------------------------------

Plan max_pool2d(const Problem& problem, bool plain, const Inputs& inputs) {
  const Pool2dShape p = pool2d_shape(problem);
  const memory::dims x{p.n, p.c, p.h, p.w}, y{p.n, p.c, p.p(), p.q()},
      stride{p.stride_h, p.stride_w}, window{p.r, p.s}, pad{p.pad_h, p.pad_w};
  // Pooling has no layout of its own to propose: blocks of 16 channels are oneDNN's usual one.
  const tag t = plain ? tag::nhwc : tag::nChw16c;
  const memory::desc dx = layout(x, t), dy = layout(y, t);
#if DNNL_VERSION_MAJOR >= 3
  const memory::dims none{0, 0};
  const auto forward = describe<dnnl::pooling_forward>(
      prop_kind::forward_training, algorithm::pooling_max, dx, dy, stride, window, none, pad, pad);
#else
  const auto forward = describe<dnnl::pooling_forward>(
      prop_kind::forward_training, algorithm::pooling_max, dx, dy, stride, window, pad, pad);
#endif
  Plan plan;
  plan.note = std::string(forward.impl_info_str()) + (plain ? ", nhwc" : ", own layout");
  const memory argmax(forward.workspace_desc(), engine());
  plan.extra = {{DNNL_ARG_WORKSPACE, argmax}};
  const Place place_x{DNNL_ARG_SRC, x, tag::nhwc, dx}, place_y{DNNL_ARG_DST, y, tag::nhwc, dy};
  plan.primitive = dnnl::pooling_forward(forward);
  plan.inputs = {place_x};
  plan.output = place_y;
  if (problem.kernel == "max_pool2d_forward") return plan;
  OnednnRunner(plan, inputs, 1).call(0);  // leaves the places of the maxima in argmax
#if DNNL_VERSION_MAJOR >= 3
  const auto pd = describe_backward<dnnl::pooling_backward>(forward, algorithm::pooling_max, dx, dy,
                                                            stride, window, none, pad, pad);
#else
  const auto pd = describe_backward<dnnl::pooling_backward>(forward, algorithm::pooling_max, dx, dy,
                                                            stride, window, pad, pad);
#endif
  plan.primitive = dnnl::pooling_backward(pd);
  plan.inputs = {place_x, {DNNL_ARG_DIFF_DST, y, tag::nhwc, dy}};
  plan.output = {DNNL_ARG_DIFF_SRC, x, tag::nhwc, dx};
  return plan;
}

bool has(const Problem& problem) {
  return problem.is("conv2d") || problem.is("linear") || problem.is("max_pool2d");
}

// The faster of the layouts, by three calls each after a first one.
std::unique_ptr<Runner> make(const Problem& problem, const Inputs& inputs, int sets) {
  const bool conv = !problem.is("max_pool2d");
  std::optional<Plan> best;
  double least = 0;
  for (const bool plain : {true, false}) {
    try {
      Plan plan = conv ? conv2d(problem, plain) : max_pool2d(problem, plain, inputs);
      OnednnRunner runner(plan, inputs, 1);
      runner.call(0);
      double seconds = runner.time(0, 1).wall[0];
      for (int i = 0; i < 2; ++i) seconds = std::min(seconds, runner.time(0, 1).wall[0]);
      if (best && seconds >= least) continue;
      least = seconds;
      best = std::move(plan);
    } catch (const dnnl::error&) {
      continue;  // this layout is not implemented
    }
  }
  check(best.has_value(), "oneDNN does not implement this");
  return std::make_unique<OnednnRunner>(std::move(*best), inputs, sets);
}

}  // namespace

void add_onednn(std::vector<Provider>& list, std::vector<std::string>&) {
  const dnnl_version_t* const v = dnnl_version();
  list.push_back(
      {"onednn", fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch), false, has, make});
}

}  // namespace etude::bench
#endif
