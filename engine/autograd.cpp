#include "engine/autograd.h"

#include <atomic>
#include <queue>

#include "engine/dispatch.h"

namespace etude {
namespace {

thread_local bool recording = true;

// Adds `gradient` to what the node has; true if it is the first.
bool accumulate(Node& node, Tensor gradient) {
  if (!node.grad.defined()) {
    // A leaf's gradient is modified in place by optimisers, so it must be nobody else's.
    const bool leaf = !node.backward;
    node.grad = leaf && !gradient.unique() ? gradient.clone() : std::move(gradient);
    return true;
  }
  Tensor total = node.grad.unique() ? node.grad.detach() : empty_like(node.grad);
  dispatch(total, [&]<class T>(const Kernels<T>& k) {
    k.add_forward(current_stream(total.device()), total.size(), node.grad.data<T>(),
                  gradient.data<T>(), total.data<T>());
  });
  node.grad = std::move(total);
  return false;
}

}  // namespace

Node::~Node() {
  // The closure first: the tensors it holds may be the last users of an input besides `inputs`.
  backward = nullptr;
  std::vector<std::shared_ptr<Node>> pending = std::move(inputs);
  while (!pending.empty()) {
    const std::shared_ptr<Node> node = std::move(pending.back());
    pending.pop_back();
    if (node && node.use_count() == 1) {
      for (auto& input : node->inputs) pending.push_back(std::move(input));
      node->inputs.clear();
      node->backward = nullptr;
    }
  }
}

Tensor record(const char* op, Tensor y, const std::vector<Tensor>& inputs, Backward backward,
              const OpDetails& details) {
  trace_op(op, y, inputs, details);
  bool wanted = false;
  for (const Tensor& input : inputs) wanted = wanted || input.requires_grad();
  if (!wanted || !recording) return y;
  static std::atomic<std::uint64_t> next_id{1};
  auto node = std::make_shared<Node>();
  node->id = next_id++;
  node->op = op;
  for (const Tensor& input : inputs) node->inputs.push_back(input.node());
  node->backward = std::move(backward);
  y.set_node(std::move(node));
  return y;
}

void backward(const Tensor& loss, double seed) {
  check(loss.size() == 1, "backward: the loss must be a scalar, its shape is {}",
        to_string(loss.shape()));
  check(loss.requires_grad(), "backward: the loss depends on no tensor that requires a gradient");
  const auto younger = [](const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) {
    return a->id < b->id;
  };
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, decltype(younger)>
      queue(younger);
  const Range phase(loss.device(), "backward");
  accumulate(*loss.node(), Tensor::full(loss.shape(), seed, loss.dtype(), loss.device()));
  queue.push(loss.node());
  while (!queue.empty()) {
    const std::shared_ptr<Node> node = queue.top();
    queue.pop();
    if (!node->backward) {
      check(node->id == 0, "backward: the graph of '{}' was consumed by an earlier backward",
            node->op);
      continue;  // a leaf: its gradient stays
    }
    // Taken out of the node, so that what they hold is freed when this iteration ends.
    const Backward closure = std::exchange(node->backward, nullptr);
    Tensor dy = std::exchange(node->grad, {});
    const std::vector<std::shared_ptr<Node>> inputs = std::exchange(node->inputs, {});
    Gradients gradients;
    {
      const Range range(dy.device(), node->op);
      gradients = closure(std::move(dy));
    }
    check(gradients.size() == inputs.size(), "backward of {}: {} gradients for {} inputs", node->op,
          gradients.size(), inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i] || !gradients[i].defined()) continue;
      if (accumulate(*inputs[i], std::move(gradients[i])) && inputs[i]->id != 0)
        queue.push(inputs[i]);
    }
  }
}

bool grad_enabled() { return recording; }

NoGrad::NoGrad() : previous_(recording) { recording = false; }
NoGrad::~NoGrad() { recording = previous_; }

}  // namespace etude
