using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Market;

/// <summary>What hosting measures and traces of each request.</summary>
internal sealed class Observer : IDisposable
{
    private readonly ConcurrentQueue<(string Path, string Text)> _seen = new();
    private readonly ConcurrentDictionary<string, long> _active = new();
    private readonly MeterListener _meters = new();
    private readonly ActivityListener _activities = new();

    public Observer()
    {
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name is "http.server.request.duration" or "http.server.active_requests")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _meters.SetMeasurementEventCallback<double>((_, _, tags, _) =>
        {
            var path = Activity.Current?.GetTagItem("seen.path") as string ?? "?";
            _seen.Enqueue((path, $"measured {Text(tags.ToArray())}"));
        });
        _meters.SetMeasurementEventCallback<long>((_, change, tags, _) =>
            _active.AddOrUpdate(Text(tags.ToArray()), change, (_, sum) => sum + change));
        _meters.Start();
        _activities.ShouldListenTo = source => source.Name == "Microsoft.AspNetCore";
        _activities.Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded;
        _activities.ActivityStarted = activity => _seen.Enqueue(("?", $"started {activity.OperationName}"));
        _activities.ActivityStopped = activity => _seen.Enqueue(
            (activity.GetTagItem("seen.path") as string ?? "?",
                $"stopped {activity.OperationName} {activity.DisplayName} {activity.Kind} {activity.Status} {activity.ParentId ?? "root"} {Text(activity.TagObjects)}"));
        ActivitySource.AddActivityListener(_activities);
    }

    /// <summary>How many requests are counted as active, by their tags.</summary>
    internal string Active => string.Join('\n', _active.OrderBy(it => it.Key).Select(it => $"{it.Key}: {it.Value}"));

    /// <summary>What was seen of requests with this name.</summary>
    internal string Of(string path) => string.Join('\n', _seen.Where(it => it.Path == path).Select(it => it.Text));

    public void Dispose()
    {
        _meters.Dispose();
        _activities.Dispose();
    }

    private static string Text(IEnumerable<KeyValuePair<string, object?>> tags)
        => string.Join(' ', tags.OrderBy(tag => tag.Key).Select(tag => $"{tag.Key}={tag.Value}"));
}
