#include "apps/losses.h"

#include "engine/autograd.h"

namespace etude::apps {

namespace {

// CCC of one axis, and its gradient, added to `dx` times `factor`.
//   ccc = 2 s_xt / (s_x^2 + s_t^2 + (m_x - m_t)^2), moments over n values (population)
//   d ccc / d x_i = (2 / n) [(t_i - m_t) - ccc (x_i - m_t)] / denominator
double ccc_axis(int axis, const std::vector<float>& x, const std::vector<float>& t,
                const std::vector<float>& mask, double factor, std::vector<float>& dx) {
  const auto counts = [&](std::size_t i) { return mask.empty() || mask[i] != 0; };
  double n = 0, mx = 0, mt = 0;
  for (std::size_t i = axis; i < x.size(); i += 2) {
    if (!counts(i)) continue;
    n += 1;
    mx += x[i];
    mt += t[i];
  }
  check(n >= 2, "ccc_loss: {} values an axis; at least 2 are needed", n);
  mx /= n;
  mt /= n;
  double xx = 0, tt = 0, xt = 0;
  for (std::size_t i = axis; i < x.size(); i += 2) {
    if (!counts(i)) continue;
    xx += (x[i] - mx) * (x[i] - mx);
    tt += (t[i] - mt) * (t[i] - mt);
    xt += (x[i] - mx) * (t[i] - mt);
  }
  // The constant keeps a batch of equal annotations and answers finite.
  const double denominator = (xx + tt) / n + (mx - mt) * (mx - mt) + 1e-8;
  const double ccc = 2 * xt / n / denominator;
  for (std::size_t i = axis; i < x.size(); i += 2)
    if (counts(i))
      dx[i] = static_cast<float>(factor * 2 / n * ((t[i] - mt) - ccc * (x[i] - mt)) / denominator);
  return ccc;
}

}  // namespace

Tensor ccc_loss(const Tensor& x, const Tensor& target, const Tensor& mask) {
  check(x.rank() == 2 && x.dim(1) % 2 == 0 && x.shape() == target.shape() &&
            (!mask.defined() || mask.shape() == x.shape()),
        "ccc_loss: expected x, target and mask of one shape [N, 2 steps], got {} and {}",
        to_string(x.shape()), to_string(target.shape()));
  const std::vector<float> values = x.to_vector<float>(), truth = target.to_vector<float>();
  const std::vector<float> known = mask.defined() ? mask.to_vector<float>() : std::vector<float>();
  std::vector<float> gradient(values.size(), 0.0f);
  double loss = 1;
  for (int axis = 0; axis < 2; ++axis)
    loss -= 0.5 * ccc_axis(axis, values, truth, known, -0.5, gradient);
  const Tensor dx = Tensor::from(gradient, x.shape(), x.device());
  return record("ccc_loss", Tensor::full({}, loss, x.dtype(), x.device()), {x},
                [dx](Tensor dy) -> Gradients { return {scale(dx, dy.item())}; });
}

Tensor masked_mse_loss(const Tensor& x, const Tensor& target, const Tensor& mask, int count) {
  check(count > 0, "masked_mse_loss: the mask keeps nothing");
  return scale(mse_loss(mul(x, mask), target), static_cast<double>(x.size()) / count);
}

Tensor regression_loss(const std::string& name, const Tensor& outputs, const data::Batch& batch) {
  if (name == "ccc") return ccc_loss(outputs, batch.targets, batch.mask);
  if (batch.mask.defined())
    return masked_mse_loss(outputs, batch.targets, batch.mask, batch.annotated);
  return mse_loss(outputs, batch.targets);
}

}  // namespace etude::apps
