// The table that `etude summary` prints.
#include <algorithm>
#include <map>

#include "engine/autograd.h"
#include "models/zoo.h"

namespace etude::models {

namespace {

// What was seen of a module while an input ran through the model.
struct Observation {
  Shape output;
  Index macs = 0;
  std::size_t bytes = 0;
};
using Observations = std::map<const Module*, Observation>;

struct Totals {
  Index parameters = 0, trainable = 0, buffers = 0, macs = 0;
  std::size_t bytes = 0;
};

using Row = std::vector<std::string>;

// 1234567 -> "1,234,567"
std::string grouped(Index n) {
  std::string text = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

// 1234567 -> "1.23 M"
std::string scaled(Index n) {
  const auto x = static_cast<double>(n);
  if (n >= 1'000'000'000) return fmt::format("{:.2f} G", x / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.2f} M", x / 1e6);
  if (n >= 1'000) return fmt::format("{:.2f} k", x / 1e3);
  return std::to_string(n);
}

std::string memory(std::size_t bytes) {
  const auto x = static_cast<double>(bytes);
  if (bytes >= std::size_t{1} << 30) return fmt::format("{:.2f} GiB", x / 0x1p30);
  if (bytes >= std::size_t{1} << 20) return fmt::format("{:.2f} MiB", x / 0x1p20);
  return fmt::format("{:.2f} KiB", x / 0x1p10);
}

// The parameters of a module itself, those of its children left out.
Totals own_numbers(const Module& module) {
  Totals own;
  std::vector<StateEntry> below;
  for (const StateEntry& entry : module.state()) {
    const bool of_child =
        std::any_of(module.children().begin(), module.children().end(),
                    [&](const auto& child) { return entry.name.starts_with(child.first + "."); });
    if (of_child) continue;
    if (!entry.trainable) {
      own.buffers += entry.tensor.size();
      continue;
    }
    own.parameters += entry.tensor.size();
    if (entry.tensor.requires_grad()) own.trainable += entry.tensor.size();
  }
  return own;
}

// Rows in the order of registration, which is that of execution. A layer that its parent ran by
// another way than operator() (a norm that takes the residual with it) was not observed: it is the
// parent's last step, and its output the parent's.
void add_rows(const std::string& name, const Module& module, const Observations& seen,
              const Observation* parent, int depth, std::vector<Row>& rows, Totals& totals) {
  const auto found = seen.find(&module);
  const Observation* observed = found != seen.end() ? &found->second : parent;
  const bool leaf = module.children().empty();
  const Totals own = own_numbers(module);
  totals.parameters += own.parameters;
  totals.trainable += own.trainable;
  totals.buffers += own.buffers;
  Row row = {std::string(static_cast<std::size_t>(2 * depth), ' ') + name, module.kind(),
             module.describe(), observed ? to_string(observed->output) : "not run"};
  if (own.parameters > 0) {
    row.push_back(grouped(own.parameters));
    row.push_back(grouped(own.trainable));
  } else {
    row.insert(row.end(), 2, "");
  }
  if (leaf && observed) {
    const Index macs = found != seen.end() ? observed->macs : 0;
    totals.macs += macs;
    totals.bytes += observed->bytes;
    row.push_back(macs > 0 ? scaled(macs) : "");
    row.push_back(observed->bytes > 0 ? memory(observed->bytes) : "");
  } else {
    row.insert(row.end(), 2, "");
  }
  rows.push_back(std::move(row));
  for (const auto& [child_name, child] : module.children())
    add_rows(child_name, *child, seen, observed, depth + 1, rows, totals);
}

std::string render(const std::vector<Row>& rows) {
  constexpr std::size_t first_number = 4;  // columns from here on are aligned to the right
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i < first_number ? fmt::format("{:<{}}  ", row[i], widths[i])
                               : fmt::format("{:>{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
    if (&row == &rows.front()) {
      std::size_t total = 0;
      for (const std::size_t width : widths) total += width + 2;
      text += std::string(total - 2, '-') + "\n";
    }
  }
  return text;
}

// Evaluation without gradients for as long as it lives.
class Evaluation {
 public:
  explicit Evaluation(Module& module) : module_(module), was_training_(module.training()) {
    module_.train(false);
  }
  ~Evaluation() {
    Module::set_observer({});
    module_.train(was_training_);
  }
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

 private:
  Module& module_;
  bool was_training_;
  NoGrad no_grad_;
};

Observations observe(Module& model, const Shape& input) {
  const std::vector<StateEntry> state = model.state();
  check(!state.empty(), "summary: the model has no state");
  Observations seen;
  const Evaluation evaluation(model);
  Module::set_observer([&](Module& module, const Shape& x, const Tensor& y) {
    Observation& one = seen[&module];
    one.output = y.shape();
    one.macs += module.macs(x, y.shape());
    if (y.unique()) one.bytes += y.bytes();  // else it is a view of the input: a flatten
  });
  const Tensor& any = state.front().tensor;
  model(Tensor::zeros(input, any.dtype(), any.device()));
  return seen;
}

}  // namespace

std::string summarize(Module& model, const Shape& input) {
  check(input.rank() == 3 || input.rank() == 4, "summary: expected HxWxC or NxHxWxC, got {}",
        to_string(input));
  const Shape batch = input.rank() == 4 ? input : Shape{1, input[0], input[1], input[2]};
  const Observations seen = observe(model, batch);
  std::vector<Row> rows = {{"Layer", "Kind", "Details", "Output", "Parameters", "Trainable",
                            "Multiply-adds", "Activations"}};
  Totals totals;
  add_rows("model", model, seen, nullptr, 0, rows, totals);
  std::string text = render(rows);
  text += fmt::format(
      "\nInput                 {}\n"
      "Parameters            {} total, {} trainable, {} fixed; {} numbers in buffers\n"
      "Multiply-adds         {} forward ({} FLOPs)\n"
      "Activation memory     {} forward (outputs of all layers)\n"
      "Parameter memory      {} in float32\n",
      to_string(batch), grouped(totals.parameters), grouped(totals.trainable),
      grouped(totals.parameters - totals.trainable), grouped(totals.buffers), scaled(totals.macs),
      scaled(2 * totals.macs), memory(totals.bytes),
      memory(static_cast<std::size_t>(totals.parameters) * sizeof(float)));
  return text;
}

}  // namespace etude::models
