namespace Kitchen;

/// <summary>The ways in which applications turn failures into answers.</summary>
internal static class Errors
{
    internal static void UseErrorBranches(this WebApplication app)
    {
        app.Map("/handled", branch =>
        {
            branch.UseExceptionHandler(handler => handler.Run(context =>
            {
                context.Response.ContentType = "text/plain";
                return context.Response.WriteAsync($"sorry, {context.Response.StatusCode}");
            }));
            branch.Run(Fail);
        });
        app.Map("/problem", branch =>
        {
            branch.UseExceptionHandler();
            branch.Run(Fail);
        });
        app.Map("/pages", branch =>
        {
            branch.UseStatusCodePages();
            branch.Run(Fail);
        });
        app.Map("/pages-again", branch =>
        {
            branch.UseStatusCodePagesWithReExecute("/page", "?code={0}");
            branch.Run(context => context.Request.Path == "/page"
                ? context.Response.WriteAsync($"page for {context.Request.Query["code"]}")
                : Fail(context));
        });
        app.Map("/developer", branch =>
        {
            branch.UseDeveloperExceptionPage();
            branch.Run(context => throw new InvalidOperationException("for developers"));
        });
        app.Map("/bare", branch => branch.Run(Fail));
    }

    private static async Task Fail(HttpContext context)
    {
        var response = context.Response;
        switch (context.Request.Path.Value)
        {
            case "/throw":
                throw new InvalidOperationException("thrown at once");
            case "/throw-later":
                await Task.Yield();
                throw new InvalidOperationException("thrown later");
            case "/throw-with-headers":
                response.Headers["X-Lost"] = "yes";
                response.ContentType = "text/plain";
                response.StatusCode = 202;
                throw new InvalidOperationException("thrown with headers");
            case "/throw-after-write":
                await response.WriteAsync("half of it");
                await response.Body.FlushAsync();
                throw new InvalidOperationException("thrown after a write");
            case "/throw-unflushed":
                response.BodyWriter.GetSpan(5)[..5].Fill((byte)'x');
                response.BodyWriter.Advance(5);
                throw new InvalidOperationException("thrown before a flush");
            case "/throw-bad-request":
                throw new BadHttpRequestException("a bad one", 422);
            case "/throw-cancelled":
                throw new OperationCanceledException();
            case "/too-little":
                response.ContentLength = 20;
                await response.WriteAsync("too little");
                break;
            case "/too-much":
                response.ContentLength = 3;
                await response.WriteAsync("too much");
                break;
            case "/status":
                response.StatusCode = int.Parse(context.Request.Query["code"]!);
                break;
            default:
                response.StatusCode = 404;
                break;
        }
    }
}
