// What handlers found out, for a test that asks on another connection: `?id=` names the entry.

using System.Collections.Concurrent;

namespace Site;

internal static class Outcomes
{
    private static readonly ConcurrentDictionary<string, string> s_outcomes = new();

    internal static void Tell(HttpContext context, string outcome)
        => Tell(context.Request.Query["id"].ToString(), outcome);

    internal static void Tell(string id, string outcome) => s_outcomes[id] = outcome;

    internal static string? Find(string id) => s_outcomes.GetValueOrDefault(id);

    /// <summary>The name of the exception that an action throws, or "none".</summary>
    internal static async Task<string> NameOf(Func<Task> action)
    {
        try
        {
            await action();
            return "none";
        }
        catch (Exception exception)
        {
            return exception.GetType().Name;
        }
    }

    internal static Task WhenCanceled(this CancellationToken token)
    {
        var canceled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        token.Register(canceled.SetResult);
        return canceled.Task;
    }
}
