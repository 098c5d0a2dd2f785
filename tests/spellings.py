"""Small networks, each as modules, as functions, and as operators on parameters of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 4


class Written(nn.Module):
    """A network with the tensors of another one, under names of its own, and a forward that is a function."""

    def __init__(self, network: nn.Module, run) -> None:
        super().__init__()
        self.run = run
        for name, parameter in network.named_parameters():
            short = name.replace(".", "_").replace("weight", "w").replace("bias", "b")
            self.register_parameter(short, nn.Parameter(parameter.detach().clone()))
        for name, buffer in network.named_buffers():
            if buffer.is_floating_point():
                self.register_buffer(name.replace(".", "_").replace("running_", ""), buffer.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


class Convolutions(nn.Module):
    shape = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.c2, self.n2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.c3, self.n3 = nn.Conv2d(6, 6, 3, padding=1, stride=2), nn.BatchNorm2d(6)
        self.r1, self.r2, self.r3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool, self.flat, self.fc = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r1(self.n1(self.c1(x)))
        x = x + self.r2(self.n2(self.c2(x)))
        return self.fc(self.flat(self.pool(self.r3(self.n3(self.c3(x))))))

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        x = F.relu(F.batch_norm(F.conv2d(x, p.c1_w, None, 1, 1), p.n1_mean, p.n1_var, p.n1_w, p.n1_b, True))
        y = F.conv2d(x, p.c2_w, p.c2_b, padding=1)
        x = torch.relu(F.batch_norm(y, p.n2_mean, p.n2_var, p.n2_w, p.n2_b, training=True)) + x
        x = F.conv2d(x, p.c3_w, p.c3_b, padding=1, stride=2)
        x = F.threshold(F.batch_norm(x, p.n3_mean, p.n3_var, p.n3_w, p.n3_b, training=True), 0, 0)
        return F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), p.fc_w, p.fc_b)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        def norm(x, w, b, mean, var):
            return torch.batch_norm(x, w, b, mean, var, True, 0.1, 1e-5, False)

        x = norm(torch.conv2d(x, p.c1_w, padding=1), p.n1_w, p.n1_b, p.n1_mean, p.n1_var).clamp(min=0)
        y = torch.conv2d(x, p.c2_w, padding=1) + p.c2_b[:, None, None]
        x = x.add(torch.maximum(norm(y, p.n2_w, p.n2_b, p.n2_mean, p.n2_var), x.new_zeros(())))
        x = torch.conv2d(x, p.c3_w, padding=1, stride=2) + p.c3_b.view(1, -1, 1, 1)
        x = norm(x, p.n3_w, p.n3_b, p.n3_mean, p.n3_var).relu_()
        return x.mean((-1, -2)) @ p.fc_w.t() + p.fc_b


class Layers(nn.Module):
    shape = (5, 6)

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Flatten(), nn.Linear(30, 12), nn.Tanh(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 9)),
            *(nn.ReLU(), nn.Linear(9, CLASSES)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        x = F.tanh(F.linear(x.flatten(1), p.body_1_w, p.body_1_b))
        x = F.relu(F.linear(F.relu_(F.linear(x, p.body_3_w, p.body_3_b)), p.body_5_w, p.body_5_b))
        return F.linear(x, p.body_7_w, p.body_7_b)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        x = torch.addmm(p.body_1_b, x.reshape(len(x), -1), p.body_1_w.T).tanh()
        x = p.body_3_b + torch.einsum("bi,oi->bo", x, p.body_3_w)
        x = (x * (x > 0)) @ p.body_5_w.mT
        x += p.body_5_b
        x = torch.where(x > 0, x, 0.0)
        return torch.einsum("oi,bi->bo", [p.body_7_w, x]) + p.body_7_b


class Groups(nn.Module):
    shape = (4, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(4, 8, 3, groups=2), nn.GroupNorm(2, 8)
        self.c2, self.n2 = nn.ConvTranspose2d(8, 6, 2, bias=False), nn.InstanceNorm2d(6, affine=True)
        self.act, self.last, self.pool = nn.SiLU(), nn.ReLU6(), nn.MaxPool2d(7)
        self.fc = nn.Linear(6, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.n2(self.c2(self.act(self.n1(self.c1(x))))))
        return self.fc(self.pool(x).flatten(1))

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        x = F.silu(F.group_norm(F.conv2d(x, p.c1_w, p.c1_b, groups=2), 2, p.n1_w, p.n1_b))
        x = F.relu6(F.instance_norm(F.conv_transpose2d(x, p.c2_w), weight=p.n2_w, bias=p.n2_b))
        return F.linear(F.max_pool2d(x, 7).flatten(1), p.fc_w)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        x = F.silu(
            torch.group_norm(
                torch.conv2d(x, p.c1_w, groups=2) + p.c1_b[None, :, None, None], 2, p.n1_w, p.n1_b
            )
        )
        x = torch.conv_transpose2d(x, p.c2_w)
        x = torch.instance_norm(x, p.n2_w, p.n2_b, None, None, True, 0.1, 1e-5, False)
        return torch.clamp(x, 0, 6).amax((2, 3)) @ p.fc_w.T


class Attention(nn.Module):
    shape = (5, 8)

    def __init__(self) -> None:
        super().__init__()
        self.before, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.between, self.up, self.act = nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU()
        self.down, self.fc = nn.Linear(16, 8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.before(x)).chunk(3, -1)
        x = x + self.out((q @ k.mT / 8**0.5).softmax(-1) @ v)
        return self.fc((x + self.down(self.act(self.up(self.between(x))))).mean(1))

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        y = F.layer_norm(x, (8,), p.before_w, p.before_b)
        q, k, v = F.linear(y, p.qkv_w, p.qkv_b).chunk(3, -1)
        x = x + F.linear(torch.bmm(F.softmax(torch.bmm(q, k.mT) / 8**0.5, -1), v), p.out_w, p.out_b)
        y = F.gelu(F.linear(F.layer_norm(x, (8,), p.between_w, p.between_b), p.up_w, p.up_b))
        return F.linear((x + F.linear(y, p.down_w, p.down_b)).mean(1), p.fc_w, p.fc_b)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        y = torch.layer_norm(x, (8,), p.before_w, p.before_b)
        q, k, v = (torch.einsum("btc,oc->bto", y, p.qkv_w) + p.qkv_b).chunk(3, -1)
        x = x + ((q @ k.mT / 8**0.5).softmax(-1) @ v @ p.out_w.t() + p.out_b)
        y = F.gelu(torch.layer_norm(x, (8,), p.between_w, p.between_b).matmul(p.up_w.T).add(p.up_b))
        return (x + (y @ p.down_w.T + p.down_b)).mean(1) @ p.fc_w.T + p.fc_b


class Sequences(nn.Module):
    shape = (3, 12)

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.n1, self.a1 = nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.LeakyReLU()
        self.c2, self.n2, self.a2 = nn.Conv1d(6, 6, 3), nn.BatchNorm1d(6), nn.Hardtanh()
        self.pool, self.fc = nn.AdaptiveAvgPool1d(1), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a2(self.n2(self.c2(self.a1(self.n1(self.c1(x))))))
        return self.fc(self.pool(x).flatten(1))

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        x = F.batch_norm(F.conv1d(x, p.c1_w, p.c1_b), p.n1_mean, p.n1_var, p.n1_w, p.n1_b, True)
        x = F.conv1d(F.leaky_relu(x), p.c2_w, p.c2_b)
        x = F.hardtanh(F.batch_norm(x, p.n2_mean, p.n2_var, p.n2_w, p.n2_b, True))
        return F.linear(F.adaptive_avg_pool1d(x, 1).flatten(1), p.fc_w, p.fc_b)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        x = torch.conv1d(x, p.c1_w) + p.c1_b[:, None]
        x = F.batch_norm(x, p.n1_mean, p.n1_var, p.n1_w, p.n1_b, True)
        x = torch.conv1d(torch.where(x > 0, x, 0.01 * x), p.c2_w) + p.c2_b[:, None]
        x = F.batch_norm(x, p.n2_mean, p.n2_var, p.n2_w, p.n2_b, True).clamp(-1, 1)
        return x.mean(-1) @ p.fc_w.T + p.fc_b


class Gates(nn.Module):
    shape = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3)
        self.r1, self.pool, self.gate, self.r2 = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Sigmoid(), nn.ReLU()
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r1(self.c1(x))
        x = x * self.gate(self.c2(self.pool(x)))
        return self.fc(self.pool(self.r2(self.c3(x))).flatten(1))

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, p.c1_w, p.c1_b))
        x = x * F.sigmoid(F.conv2d(F.adaptive_avg_pool2d(x, 1), p.c2_w, p.c2_b))
        return F.linear(F.avg_pool2d(F.relu(F.conv2d(x, p.c3_w, p.c3_b)), 4).flatten(1), p.fc_w, p.fc_b)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        x = torch.conv2d(x, p.c1_w, p.c1_b).relu_()
        x *= (torch.conv2d(x.mean((2, 3), keepdim=True), p.c2_w) + p.c2_b.reshape(-1, 1, 1)).sigmoid()
        x = torch.clamp_min(torch.conv2d(x, p.c3_w, p.c3_b), 0)
        return torch.matmul(x.mean((2, 3)), p.fc_w.T) + p.fc_b


class Recurrent(nn.Module):
    shape = (5, 6)

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 4, batch_first=True)
        self.gru, self.rnn = nn.GRUCell(4, 5), nn.RNNCell(5, 3, nonlinearity="relu")
        self.fc = nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        state = last = None
        for step in self.lstm(x)[0].unbind(1):
            state = self.gru(step, state)
            last = self.rnn(state, last)
        return self.fc(last)

    @staticmethod
    def functions(p, x: Tensor) -> Tensor:
        zeros = [x.new_zeros(1, len(x), 4) for _ in range(2)]
        lstm = [p.lstm_w_ih_l0, p.lstm_w_hh_l0, p.lstm_b_ih_l0, p.lstm_b_hh_l0]
        steps = torch.lstm(x, zeros, lstm, True, 1, 0.0, True, False, True)[0]
        state, last = torch.zeros(len(x), 5, dtype=x.dtype), torch.zeros(len(x), 3, dtype=x.dtype)
        for step in steps.unbind(1):
            state = torch.gru_cell(step, state, p.gru_w_ih, p.gru_w_hh, p.gru_b_ih, p.gru_b_hh)
            last = torch.rnn_relu_cell(state, last, p.rnn_w_ih, p.rnn_w_hh, p.rnn_b_ih, p.rnn_b_hh)
        return F.linear(last, p.fc_w, p.fc_b)

    @staticmethod
    def operators(p, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), 4)
        outputs = []
        for step in x.unbind(1):
            gates = (step @ p.lstm_w_ih_l0.t() + p.lstm_b_ih_l0) + (h @ p.lstm_w_hh_l0.t() + p.lstm_b_hh_l0)
            i, f, g, o = gates.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        state, last = x.new_zeros(len(x), 5), x.new_zeros(len(x), 3)
        for step in outputs:
            a = (torch.einsum("bi,oi->bo", step, p.gru_w_ih) + p.gru_b_ih).chunk(3, 1)
            b = (torch.inner(state, p.gru_w_hh) + p.gru_b_hh).chunk(3, 1)
            r, z = (a[0] + b[0]).sigmoid(), (a[1] + b[1]).sigmoid()
            n = (a[2] + r * b[2]).tanh()
            state = (1 - z) * n + z * state
            last = torch.addmm(p.rnn_b_ih, state, p.rnn_w_ih.T) + (last @ p.rnn_w_hh.T + p.rnn_b_hh)
            last = last.clamp(min=0)
        return last @ p.fc_w.T + p.fc_b


NETWORKS = {
    each.__name__: each for each in (Convolutions, Layers, Groups, Attention, Sequences, Gates, Recurrent)
}
