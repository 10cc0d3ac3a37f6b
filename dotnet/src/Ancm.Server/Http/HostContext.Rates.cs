using System;
using System.Threading;

using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// How slow the client may be, in Kestrel's terms. The clock is the lane's: it reads the rates from
/// the exchange, which shows its own ones until the app sets others.
/// </summary>
internal abstract unsafe partial class HostContext : IHttpMinRequestBodyDataRateFeature, IHttpMinResponseDataRateFeature
{
    // What Kestrel's type takes at least.
    private static readonly TimeSpan s_leastGrace = TimeSpan.FromMilliseconds(1001);

    MinDataRate? IHttpMinRequestBodyDataRateFeature.MinDataRate
    {
        get => _exchange is not null && _exchange->HasRates()
            ? ToRate(_exchange->BodyRate, _exchange->BodyGrace)
            : null;
        set => SetRates(value, ofBody: true);
    }

    MinDataRate? IHttpMinResponseDataRateFeature.MinDataRate
    {
        get => _exchange is not null && _exchange->HasRates()
            ? ToRate(_exchange->AnswerRate, _exchange->AnswerGrace)
            : null;
        set => SetRates(value, ofBody: false);
    }

    private static MinDataRate? ToRate(uint rate, uint grace)
    {
        var time = TimeSpan.FromMilliseconds(grace);
        return rate == 0 ? null : new MinDataRate(rate, time > s_leastGrace ? time : s_leastGrace);
    }

    private void SetRates(MinDataRate? value, bool ofBody)
    {
        NativeExchange* exchange;
        lock (_abortGate)
        {
            exchange = _exchange;
            if (exchange is null || _phase == Phase.Idle || !exchange->HasRates())
            {
                return;
            }

            // None is 0, so less than one byte per second becomes one.
            var rate = value is null ? 0 : (uint)Math.Clamp(value.BytesPerSecond, 1, uint.MaxValue);
            var grace = value is null ? 0 : (uint)Math.Min(value.GracePeriod.TotalMilliseconds, uint.MaxValue);
            if (ofBody)
            {
                Volatile.Write(ref exchange->BodyRate, rate);
                Volatile.Write(ref exchange->BodyGrace, grace);
            }
            else
            {
                Volatile.Write(ref exchange->AnswerRate, rate);
                Volatile.Write(ref exchange->AnswerGrace, grace);
            }

            Interlocked.Or(ref exchange->Progress, ProgressFlags.Rates);
        }

        exchange->Wake();
    }
}
